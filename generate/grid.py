"""The mosaic's grid: rows x cols square tiles, and the reference blocks that they answer to."""

import re
from dataclasses import dataclass

import torch
from einops import rearrange
from torch import Tensor

from ..configs.errors import InputError
from ..configs.settings import MosaicSettings, Settings

MAX_SIDE = 256
MIN_BLOCK = 8  # pixels; a smaller block says hardly more than one colour
MIN_TILE = 32
LATENT_FACTOR = 8  # of every Stable Diffusion autoencoder, and of the starter's

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


def parse_grid(settings: MosaicSettings) -> tuple[int, int]:
    """Rows and columns from `grid` ("12x16") or, when that is empty, from `level`.

    Raises InputError when the text is no grid or the grid is empty or larger than 256 a side.
    """
    if not settings.grid:
        return 2**settings.level, 2**settings.level
    match = re.fullmatch(r"\s*(\d+)\s*[xX×]\s*(\d+)\s*", settings.grid)
    if match is None:
        raise InputError(f'--grid {settings.grid!r} is no grid; write ROWSxCOLS, such as "12x16".')
    rows, cols = int(match[1]), int(match[2])
    if not (1 <= rows <= MAX_SIDE and 1 <= cols <= MAX_SIDE):
        raise InputError(
            f"--grid {rows}x{cols} is out of range; rows and columns lie between 1 and {MAX_SIDE}."
        )
    return rows, cols


def make_grid(settings: Settings) -> Grid:
    """The grid that settings ask for.

    As in the paper, the reference has a tile's size, so that a block is tile / max(rows, cols)
    pixels wide (96 px for 8x8 tiles of 768 px). A larger `guidance_size` keeps more of a photo.
    Raises InputError for a bad grid or tile size.
    """
    rows, cols = parse_grid(settings.mosaic)
    tile = settings.mosaic.tile_size or settings.base.resolution
    if tile % LATENT_FACTOR or tile < MIN_TILE:
        raise InputError(
            f"mosaic.tile_size {tile} cannot be drawn; take a multiple of {LATENT_FACTOR} from "
            f"{MIN_TILE} up (0: the base model's {settings.base.resolution})."
        )
    natural = max(MIN_BLOCK, tile // max(rows, cols))
    return Grid(rows, cols, tile, min(tile, max(natural, settings.mosaic.guidance_size)))


def crop_box(height: int, width: int, grid: Grid) -> tuple[int, int, int, int]:
    """Top, left, height and width of the largest centred box with the grid's aspect."""
    scale = min(height / grid.rows, width / grid.cols)
    tall = min(height, max(1, round(grid.rows * scale)))
    wide = min(width, max(1, round(grid.cols * scale)))
    return (height - tall) // 2, (width - wide) // 2, tall, wide


def center_crop(image: Tensor, grid: Grid) -> Tensor:
    """Crop [..., H, W] to the grid's aspect."""
    top, left, tall, wide = crop_box(image.shape[-2], image.shape[-1], grid)
    return image[..., top : top + tall, left : left + wide]


def fit_reference(image: Tensor, grid: Grid) -> Tensor:
    """Centre-crop an image [3, H, W] in [0, 1] and resample it to the grid's reference size."""
    cropped = center_crop(image, grid)
    if cropped.shape[-2:] == grid.reference_size:
        return cropped
    resized = torch.nn.functional.interpolate(
        cropped[None], size=grid.reference_size, mode="bicubic", antialias=True
    )
    return resized[0].clamp(0, 1)


def split_blocks(reference: Tensor, grid: Grid) -> Tensor:
    """Reference [3, rows*b, cols*b] -> blocks [rows*cols, 3, b, b], row by row."""
    return rearrange(reference, "c (r h) (k w) -> (r k) c h w", r=grid.rows, k=grid.cols)
