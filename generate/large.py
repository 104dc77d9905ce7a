"""Mosaics too large for one picture in memory: a tiled TIFF, and a small picture to look at.

A grid of 100 x 100 tiles of 768 px has 5.9 gigapixels, 18 GB. Here one tile is held at a time.
"""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image

from ..configs.files import replacing
from ..models.pixels import PRINT_DPI, srgb_profile
from .grid import LARGEST, Grid
from .store import Store

MOSAIC_TIFF = "mosaic.tif"
SMALL_SIDE = 4096  # px, the longer one of the picture to look at
TIFF_UNIT = 16  # px; sides of a TIFF's tiles are multiples


def is_large(grid: Grid) -> bool:
    """Whether a mosaic is kept as a TIFF, with a small PNG beside it."""
    height, width = grid.canvas_size
    return height * width > LARGEST


def small_canvas(store: Store) -> np.ndarray:
    """The mosaic in small, every tile averaged by itself: 8-bit [rows*s, cols*s, 3]."""
    grid = store.grid
    side = max(1, min(grid.tile, SMALL_SIDE // max(grid.rows, grid.cols)))
    canvas = np.empty((grid.rows * side, grid.cols * side, 3), np.uint8)
    for row, col in grid.tiles:
        with Image.open(store.path((row, col))) as image:
            tile = image.convert("RGB").resize((side, side), Image.Resampling.BOX)
        canvas[row * side : (row + 1) * side, col * side : (col + 1) * side] = np.asarray(tile)
    return canvas


def write_tiff(store: Store, path: Path, parameters: str, xmp: str) -> None:
    """Write all tiles as one tiled BigTIFF in sRGB, packed without loss, tile by tile."""
    import tifffile

    height, width = store.grid.canvas_size
    side = _tiff_side(store.grid.tile)
    packet = xmp.encode()
    with replacing(path) as temporary:
        tifffile.imwrite(
            temporary,
            _tiff_tiles(store, side),
            shape=(height, width, 3),
            dtype=np.uint8,
            tile=(side, side),
            bigtiff=True,
            photometric="rgb",
            compression="zlib",
            predictor=True,
            iccprofile=srgb_profile(),
            resolution=(PRINT_DPI, PRINT_DPI),
            resolutionunit="INCH",
            description=parameters.encode(),
            metadata=None,
            extratags=[(700, 1, len(packet), packet, True)],
        )


def _tiff_side(tile: int) -> int:
    """Side of the TIFF's own tiles: that of the mosaic's, or the next multiple that may be."""
    return next(n * tile for n in range(1, TIFF_UNIT + 1) if n * tile % TIFF_UNIT == 0)


def _tiff_tiles(store: Store, side: int) -> Iterator[np.ndarray]:
    """The TIFF's tiles [side, side, 3] row by row, black where the mosaic has ended."""
    grid = store.grid
    each = side // grid.tile
    for top in range(0, grid.rows, each):
        for left in range(0, grid.cols, each):
            block = np.zeros((side, side, 3), np.uint8)
            for row in range(top, min(top + each, grid.rows)):
                for col in range(left, min(left + each, grid.cols)):
                    y, x = (row - top) * grid.tile, (col - left) * grid.tile
                    block[y : y + grid.tile, x : x + grid.tile] = _pixels(store, row, col)
            yield block


def _pixels(store: Store, row: int, col: int) -> np.ndarray:
    with Image.open(store.path((row, col))) as image:
        return np.asarray(image.convert("RGB"))
