"""The paper's Figure 8: what a tile is predicted to become, from the first step to the last."""

from collections.abc import Sequence
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor

from ...configs.settings import Settings
from ...models.pixels import to_pixels
from ..color import enlarge
from ..grid import Tile
from ..plan import plan_mosaic
from ..studio import denoise_tiles, open_studio
from ..tiles import TileStore
from .drawing import NO_CONCEPTS, silent
from .sheets import contact_sheet, sheet_shows

SHOWN = 8  # predictions of a row, evenly spaced over its steps
SIDE = 128  # px


Wanted = Sequence[tuple[str, Settings, Path]]
"""Label, settings and folder of finished mosaics; the folder's name changes with the mosaic."""


def draw_evolution(wanted: Wanted, path: Path) -> None:
    """Write a sheet with a row for every mosaic."""
    rows = [evolution(settings, folder) for _, settings, folder in wanted]
    columns = ("block", "first step", *[""] * (SHOWN - 2), "last step")
    names = [label for label, *_ in wanted]
    contact_sheet(rows, path, columns=columns, names=names, side=SIDE, shows=_said(wanted))


def is_drawn(wanted: Wanted, path: Path) -> bool:
    """Whether the sheet at `path` shows these mosaics."""
    return sheet_shows(path) == _said(wanted)


def _said(wanted: Wanted) -> str:
    return "\n".join(f"{label}: {folder.name}" for label, _, folder in wanted)


def evolution(settings: Settings, folder: Path) -> list[Image.Image]:
    """A tile's block and SHOWN of its predictions; the tile whose block varies most is taken.

    The tile is drawn again from the mosaic's reference, and comes out as it lies in `folder`.
    """
    plan = plan_mosaic(settings, concepts_dir=NO_CONCEPTS)
    studio = open_studio(plan, TileStore(folder, plan.grid), NO_CONCEPTS, silent)
    tile = most_varied(studio.blocks)
    block = studio.blocks[tile][None].to(studio.base.device)
    predictions: list[Tensor] = []
    denoise_tiles(studio, [tile], block, plan.settings.mosaic.seed,
                  lambda _, x0: predictions.append(x0))  # fmt: skip
    chosen = torch.linspace(0, len(predictions) - 1, SHOWN).round().int().tolist()
    with torch.no_grad():
        drawn = [studio.base.decode(predictions[step])[0].clamp(0, 1) for step in chosen]
    pictures = [enlarge(block, plan.grid.tile)[0], *drawn]
    return [Image.fromarray(to_pixels(picture.float().cpu())) for picture in pictures]


def most_varied(blocks: dict[Tile, Tensor]) -> Tile:
    """The tile whose block [3, b, b] deviates most from its mean colour: it shows guidance best."""
    return max(blocks, key=lambda tile: float(blocks[tile].std((1, 2)).sum()))
