"""Near-repeats: neighbouring tiles that look alike though each was drawn by itself."""

import numpy as np
from PIL import Image

from .grid import Grid

REACH = 2  # rows and columns within which a repeat is seen as one
ALIKE = 10  # of 64 bits of the hash in which pictures that look alike differ at most


def near_repeats(canvas: np.ndarray, grid: Grid) -> int:
    """How many pairs of tiles within REACH rows and columns of each other look alike.

    canvas: the mosaic in 8 bits at any size, [rows*s, cols*s, 3]. Two look alike where their
    perceptual hashes (pHash, Zauner 2010, section 3.2.1) differ in ALIKE bits or fewer.
    """
    hashes, pairs = tile_hashes(canvas, grid), 0
    for down in range(REACH + 1):
        for right in range(-REACH if down else 1, REACH + 1):
            one = hashes[: grid.rows - down, max(0, -right) : grid.cols - max(0, right)]
            other = hashes[down:, max(0, right) : grid.cols - max(0, -right)]
            pairs += int((np.bitwise_count(one ^ other) <= ALIKE).sum())
    return pairs


def tile_hashes(canvas: np.ndarray, grid: Grid) -> np.ndarray:
    """The perceptual hash of each tile, 64-bit whole numbers [rows, cols]."""
    from imagehash import phash

    side = canvas.shape[0] // grid.rows
    found = np.zeros((grid.rows, grid.cols), np.uint64)
    for row, col in grid.tiles:
        pixels = canvas[row * side : (row + 1) * side, col * side : (col + 1) * side]
        bits = np.packbits(phash(Image.fromarray(pixels)).hash)
        found[row, col] = bits.view(np.uint64)[0]
    return found
