"""Draw the references and mosaics of an evaluation, and note what each mosaic cost.

Each mosaic is drawn in a process of its own (`processes`), so that its peak memory is its own.
"""

import os
import shutil
import time
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

from ..configs.files import replacing
from ..configs.progress import silent
from ..configs.settings import Settings
from .processes import peak_memory

if TYPE_CHECKING:
    from ..generate.engine import Engine

NO_CONCEPTS = Path("concepts")  # the protocol's prompts name none


def draw_references(wanted: Sequence[tuple[Settings, Path]]) -> None:
    """Draw references of one base and grid into their files; the base is loaded once."""
    from ..generate.blocks import fit_reference
    from ..generate.engine import open_engine
    from ..generate.plan import plan_mosaic
    from ..generate.reference import draw_reference, reference_noise
    from ..models.pixels import to_pixels, write_png

    first = wanted[0][0]
    engine = open_engine(first.base, first.mosaic.machine)
    for settings, path in wanted:
        plan = plan_mosaic(settings, concepts_dir=NO_CONCEPTS)
        drawn = draw_reference(engine, plan, reference_noise(engine.base, plan.seed))
        write_png(path, to_pixels(fit_reference(drawn, plan.grid)), {})


def draw_mosaic(settings: Settings, folder: Path, reference: Path) -> None:
    """Draw a mosaic of a reference that is drawn already, and note its cost in mosaic.json.

    settings: at a precision that is resolved. The reference is put where `generate_mosaic` would
    have left it, so that tiles still start from the very noise that it was drawn from (paper,
    section 3.1). `seconds` are those from settings to mosaic.png, loading of the base model and
    drawing of a pool included. Both costs are null where an earlier run began the mosaic.
    """
    from rich.console import Console

    from ..generate.mosaic import generate_mosaic
    from ..generate.plan import plan_mosaic
    from ..generate.store import REFERENCE, Store
    from ..models.device import pick_device

    plan = plan_mosaic(settings, concepts_dir=NO_CONCEPTS)
    store = Store(folder, plan.grid)
    store.claim({**plan.identity, "precision": settings.mosaic.machine.mixed_precision})
    begun = store.recorded("base_fingerprint") is not None
    if store.reference() is None:
        with replacing(folder / REFERENCE) as temporary:
            shutil.copyfile(reference, temporary)
    began = time.perf_counter()
    progress = None if Console(stderr=True).is_terminal else silent
    generate_mosaic(settings, folder, concepts_dir=NO_CONCEPTS, progress=progress)
    seconds = round(time.perf_counter() - began, 2)
    cost = {"seconds": seconds, "peak_bytes": peak_memory(pick_device())}
    store.update(evaluation=dict.fromkeys(cost) if begun else cost)


def timed_mosaic(
    engine: "Engine",
    settings: Settings,
    folder: Path,
    *,
    concepts_dir: Path = NO_CONCEPTS,
    around: AbstractContextManager[object] | None = None,
) -> float:
    """Draw a mosaic that makes no pool; the seconds that drawing and storing its tiles took.

    What is made once per base model or reference is made before. A finished mosaic is found again,
    with the seconds that it took then. around: entered while tiles are drawn.
    """
    from ..generate.finish import finish
    from ..generate.mosaic import prepare_job, store_tiles
    from ..generate.plan import plan_mosaic
    from ..generate.store import Store

    plan = plan_mosaic(settings, concepts_dir=concepts_dir)
    store = Store(folder, plan.grid)
    store.claim({**plan.identity, "precision": engine.precision})
    if store.is_finished and (seconds := store.recorded("tile_seconds")):
        return seconds
    job = prepare_job(engine, plan, store, silent)
    _ = engine.base.linear_decoder
    began = time.perf_counter()
    with around or nullcontext():
        store_tiles(engine, job, store, store.missing(), silent)
    seconds = time.perf_counter() - began
    finish(store, plan.settings, dict.fromkeys(plan.settings.mosaic.picture.tile_prompt))
    store.update(tile_seconds=seconds)
    return seconds


def is_finished(folder: Path) -> bool:
    """Whether `draw_mosaic` is through with a folder."""
    from ..generate.store import MOSAIC, read_record

    record = read_record(folder) or {}
    return "evaluation" in record and os.path.isfile(folder / MOSAIC)
