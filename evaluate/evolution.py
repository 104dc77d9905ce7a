"""The paper's Figure 8: what a tile is predicted to become, from the first step to the last."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor

from ..configs.settings import Settings
from ..generate.blocks import enlarge
from ..generate.draw import draw
from ..generate.engine import Engine, open_engine
from ..generate.grid import Tile
from ..generate.job import make_job
from ..generate.plan import plan_mosaic
from ..generate.pull import parts
from ..generate.reference import reference_noise
from ..generate.store import Store
from ..models.pixels import to_pixels
from ..models.sheets import contact_sheet, sheet_shows
from .drawing import NO_CONCEPTS

SHOWN = 8  # predictions of a row, evenly spaced over its steps
SIDE = 128  # px


Wanted = Sequence[tuple[str, Settings, Path]]
"""Label, settings and folder of finished mosaics; the folder's name changes with the mosaic."""


def draw_evolution(wanted: Wanted, path: Path) -> None:
    """Write a sheet with a row for every mosaic; all have one base and are drawn alike."""
    first = wanted[0][1]
    engine = open_engine(first.base, first.mosaic.machine)
    rows = [evolution(engine, settings, folder) for _, settings, folder in wanted]
    columns = ("block", "first step", *[""] * (SHOWN - 2), "last step")
    names = [label for label, *_ in wanted]
    contact_sheet(rows, path, columns=columns, names=names, side=SIDE, shows=_content(wanted))


def is_drawn(wanted: Wanted, path: Path) -> bool:
    """Whether the sheet at `path` shows these mosaics."""
    return sheet_shows(path) == _content(wanted)


def _content(wanted: Wanted) -> str:
    return "\n".join(f"{label}: {folder.name}" for label, _, folder in wanted)


def evolution(engine: Engine, settings: Settings, folder: Path) -> list[Image.Image]:
    """A tile's block and SHOWN of its predictions; the tile whose block varies most is taken.

    The tile is drawn again from the mosaic's reference, and comes out as it lies in `folder`.
    """
    plan = plan_mosaic(settings, concepts_dir=NO_CONCEPTS)
    store = Store(folder, plan.grid)
    reference = store.reference()
    assert reference is not None, "a finished mosaic has its reference"
    drawn = not plan.settings.mosaic.picture.ref
    noise = reference_noise(engine.base, plan.seed) if drawn else None
    job = make_job(engine, plan, reference, noise=noise)
    tile, predictions = most_varied(job.blocks), []
    pulled = next(own for own, wanted in parts(job, store, [tile]) if wanted)
    alone = replace(pulled, tiles=(tile,))
    list(draw(engine, alone, [tile], on_step=lambda _, x0: predictions.append(x0)))
    block = enlarge(job.blocks[tile][None], plan.grid.tile)[0]
    pictures = [block, *_decoded(engine, _evenly_spaced(predictions, SHOWN))]
    return [Image.fromarray(to_pixels(picture.float().cpu())) for picture in pictures]


def _evenly_spaced(steps: Sequence[Tensor], count: int) -> list[Tensor]:
    """`count` of the steps, the first and the last among them."""
    return [steps[i] for i in torch.linspace(0, len(steps) - 1, count).round().int().tolist()]


@torch.no_grad()
def _decoded(engine: Engine, latents: Sequence[Tensor]) -> list[Tensor]:
    """Pictures [3, H, H] in [0, 1] of one tile's latents, each [1, C, h, w]."""
    return [engine.base.decode(latent)[0].clamp(0, 1) for latent in latents]


def most_varied(blocks: dict[Tile, Tensor]) -> Tile:
    """The tile whose block [3, b, b] deviates most from its mean colour: it shows guidance best."""
    return max(blocks, key=lambda tile: float(blocks[tile].std((1, 2)).sum()))
