"""Draw the references and mosaics of an evaluation, and note what each mosaic cost.

Each mosaic is drawn in a process of its own (`apart`), so that its peak memory is its own and one
that fails takes nothing along.
"""

import os
import shutil
import signal
import time
from collections.abc import Callable, Sequence
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from rich.console import Console

from ...configs.errors import SmaltiError
from ...configs.files import replacing
from ...configs.settings import Settings

Runner = Callable[..., Any]
"""Calls a function with arguments, here or in another process, and returns what it returns."""
# Linux: unlike getrusage's, this peak does not begin with that of the process that started us.
STATUS = Path("/proc/self/status")
NO_CONCEPTS = Path("concepts")  # the protocol's prompts name none


def apart(work: Callable[..., Any], *arguments: Any) -> Any:
    """Call a picklable function in a fresh process; raises what it raises.

    Raises SmaltiError when the process ends without an answer. When the caller is interrupted, the
    process is ended with it.
    """
    context = get_context("spawn")
    here, there = context.Pipe(duplex=False)
    process = context.Process(target=_answer, args=(there, work, arguments), daemon=True)
    process.start()
    there.close()
    try:
        done, answer = here.recv()
    except EOFError:
        process.join()
        raise SmaltiError(_died(process.exitcode or 0)) from None
    except BaseException:
        process.terminate()
        raise
    finally:
        process.join()
    if not done:
        raise answer
    return answer


def _answer(pipe: Connection, work: Callable[..., Any], arguments: Sequence[Any]) -> None:
    """The other process: Ctrl-C ends it without a word, for the first one has the message."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    try:
        pipe.send((True, work(*arguments)))
    except SmaltiError as error:
        pipe.send((False, error))


def _died(code: int) -> str:
    if code == -signal.SIGKILL:
        return "The process that drew was killed, usually for want of memory; take --set mosaic."\
               "batch_size=1 or a smaller --grid, and run the same command again."  # fmt: skip
    return (
        f"The process that drew ended with exit code {code}; what it said stands above. What was "
        "finished is kept, and the same command goes on from there."
    )


def draw_references(wanted: Sequence[tuple[Settings, Path]]) -> None:
    """Draw references of one base and grid into their files; the base is loaded once."""
    from ...models.base import load_base
    from ...models.device import DTYPES, resolve_precision
    from ...models.pixels import to_pixels
    from ..files import write_png
    from ..grid import fit_reference
    from ..plan import plan_mosaic
    from ..studio import draw_reference, reference_noise

    base = None
    for settings, path in wanted:
        plan = plan_mosaic(settings, concepts_dir=NO_CONCEPTS)
        mosaic = plan.settings.mosaic
        if base is None:
            dtype = DTYPES[resolve_precision(mosaic.mixed_precision, plan.device)]
            base = load_base(settings.base, device=plan.device, dtype=dtype)
        drawn = draw_reference(base, mosaic, {}, reference_noise(base, mosaic.seed))
        write_png(path, to_pixels(fit_reference(drawn, plan.grid)), {})


def draw_mosaic(settings: Settings, folder: Path, reference: Path) -> None:
    """Draw a mosaic of a reference that is drawn already, and note its cost in mosaic.json.

    The reference is put where `generate_mosaic` would have left it, so that tiles still start from
    the very noise that it was drawn from (paper, section 3.1). `seconds` are those from settings to
    mosaic.png, loading of the base model and drawing of a pool included. Both costs are null where
    an earlier run began the mosaic.
    """
    from ..mosaic import generate_mosaic
    from ..plan import plan_mosaic
    from ..tiles import REFERENCE, TileStore

    plan = plan_mosaic(settings, concepts_dir=NO_CONCEPTS)
    store = TileStore(folder, plan.grid)
    store.claim(plan.identity)
    begun = store.recorded("base_fingerprint") is not None
    if store.reference() is None:
        with replacing(folder / REFERENCE) as temporary:
            shutil.copyfile(reference, temporary)
    began = time.perf_counter()
    progress = None if Console(stderr=True).is_terminal else silent
    generate_mosaic(settings, folder, concepts_dir=NO_CONCEPTS, progress=progress)
    seconds = round(time.perf_counter() - began, 2)
    cost = {"seconds": seconds, "peak_bytes": peak_bytes(plan.device)}
    store.update(evaluation=dict.fromkeys(cost) if begun else cost)


def silent(done: int, total: int, what: str) -> None:
    """Off a terminal, the evaluation's own line per mosaic is enough."""


def peak_bytes(device: str) -> int:
    """Most memory this process has held so far: of torch's allocator on a GPU, else resident."""
    if device == "cuda":
        import torch

        return torch.cuda.max_memory_allocated()
    if STATUS.is_file():
        (line,) = (row for row in STATUS.read_text().splitlines() if row.startswith("VmHWM:"))
        return int(line.split()[1]) * 1024
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss  # macOS, where it is in bytes


def is_finished(folder: Path) -> bool:
    """Whether `draw_mosaic` is through with a folder."""
    from ..tiles import MOSAIC, read_record

    record = read_record(folder) or {}
    return "evaluation" in record and os.path.isfile(folder / MOSAIC)
