"""The mosaic's grid: rows x cols square tiles, each answering to a block of the reference."""

import re
from dataclasses import dataclass

from ..configs.errors import InputError
from ..configs.mosaic import PictureSettings
from ..configs.settings import Settings

MAX_SIDE = 256
MIN_BLOCK = 8  # pixels; a smaller block says hardly more than one colour
MIN_TILE = 32
FOCUSES = {"center": (0.5, 0.5), "top": (0.5, 0.0)}
LATENT_FACTOR = 8  # of every Stable Diffusion autoencoder, and of the starter's
LARGEST = 2**30 // 6
"""Pixels (179 million) up to which the usual readers open a picture without a word."""

Tile = tuple[int, int]


@dataclass(frozen=True)
class Grid:
    """Geometry of a mosaic; a tile index is (row, col), sizes are in pixels."""

    rows: int
    cols: int
    tile: int
    """Side of a tile in the mosaic."""
    block: int
    """Side of a tile's block in the reference."""
    focus: tuple[float, float] = (0.5, 0.5)
    """What of the reference lies in the middle of its crop, as shares of width and height."""

    @property
    def tiles(self) -> list[Tile]:
        """All tile indices, row by row."""
        return [(row, col) for row in range(self.rows) for col in range(self.cols)]

    @property
    def canvas_size(self) -> tuple[int, int]:
        """Height and width of the mosaic."""
        return self.rows * self.tile, self.cols * self.tile

    @property
    def reference_size(self) -> tuple[int, int]:
        """Height and width to which the reference is brought."""
        return self.rows * self.block, self.cols * self.block


def parse_grid(picture: PictureSettings) -> tuple[int, int]:
    """Rows and columns from `grid` ("12x16") or, when that is empty, from `level`.

    Raises InputError when the text is no grid or the grid is empty or larger than 256 a side.
    """
    if not picture.grid:
        return 2**picture.level, 2**picture.level
    match = re.fullmatch(r"\s*(\d{1,9})\s*[xX×]\s*(\d{1,9})\s*", picture.grid)
    if match is None:
        raise InputError(f'--grid {picture.grid!r} is no grid; write ROWSxCOLS, such as "12x16".')
    rows, cols = int(match[1]), int(match[2])
    if not (1 <= rows <= MAX_SIDE and 1 <= cols <= MAX_SIDE):
        raise InputError(
            f"--grid {rows}x{cols} is out of range; rows and columns lie between 1 and {MAX_SIDE}."
        )
    return rows, cols


def parse_crop(text: str) -> tuple[float, float]:
    """The focus of "center", "top" or "X,Y", shares of width and height; raises InputError."""
    if text in FOCUSES:
        return FOCUSES[text]
    match = re.fullmatch(r"\s*([\d.]{1,20})\s*,\s*([\d.]{1,20})\s*", text)
    try:
        x, y = float(match[1]), float(match[2])  # type: ignore[index]
    except (TypeError, ValueError):
        x = y = -1.0
    if not (0 <= x <= 1 and 0 <= y <= 1):
        raise InputError(
            f'--crop {text!r} is no crop; write "center", "top", or a point as shares of width and '
            'height, such as "0.5,0.3".'
        )
    return x, y


def make_grid(settings: Settings) -> Grid:
    """The grid that settings ask for.

    As in the paper, the reference has a tile's size, so that a block is tile / max(rows, cols)
    pixels wide (96 px for 8x8 tiles of 768 px). A larger `guidance_size` keeps more of a photo.
    Raises InputError for a bad grid, tile size or crop.
    """
    picture = settings.mosaic.picture
    rows, cols = parse_grid(picture)
    tile = picture.tile_size or settings.base.resolution
    if tile % LATENT_FACTOR or tile < MIN_TILE:
        raise InputError(
            f"mosaic.tile_size {tile} cannot be drawn; take a multiple of {LATENT_FACTOR} from "
            f"{MIN_TILE} up (auto: the base model's {settings.base.resolution})."
        )
    natural = max(MIN_BLOCK, tile // max(rows, cols))
    block = min(tile, max(natural, picture.guidance_size or 0))
    return Grid(rows, cols, tile, block, parse_crop(picture.crop))
