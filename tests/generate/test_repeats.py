"""Near-repeats: pairs of neighbours that look alike, by hand."""

import numpy as np
import pytest
from imagehash import phash
from made_mosaics import noise
from PIL import Image

from smalti.generate.grid import Grid
from smalti.generate.repeats import near_repeats, tile_hashes

GRID = Grid(5, 6, 40, 8)


def canvas(same: dict[tuple[int, int], int]) -> np.ndarray:
    """Tiles of noise of their own, but those in `same`, which share one per number."""
    tiles = [[noise(99, same[r, c], 40) if (r, c) in same else noise(r, c, 40)
              for c in range(6)] for r in range(5)]  # fmt: skip
    return np.concatenate([np.concatenate(line, axis=1) for line in tiles])


@pytest.mark.parametrize(("same", "pairs"), [
    ({}, 0),
    ({(0, 0): 1, (0, 1): 1}, 1),
    ({(0, 0): 1, (2, 2): 1}, 1),
    ({(2, 2): 1, (0, 4): 1}, 1),
    ({(0, 0): 1, (3, 0): 1}, 0),
    ({(0, 0): 1, (0, 3): 1}, 0),
    ({(1, 1): 1, (1, 2): 1, (2, 1): 1, (4, 5): 2}, 3),
])  # fmt: skip
def test_pairs_within_two_rows_and_columns_count(same, pairs):
    assert near_repeats(canvas(same), GRID) == pairs


def test_a_change_of_light_is_a_repeat_still_and_hashes_are_the_librarys():
    pixels = canvas({(0, 0): 1, (0, 1): 1})
    pixels[:40, :40] = pixels[:40, :40] // 2 + 60
    assert near_repeats(pixels, GRID) == 1
    wanted = phash(Image.fromarray(pixels[80:120, 120:160])).hash
    found = np.unpackbits(tile_hashes(pixels, GRID)[2, 3:4].view(np.uint8)).reshape(8, 8)
    assert np.array_equal(found.astype(bool), wanted)
    assert near_repeats(pixels[:40, :40], Grid(1, 1, 40, 8)) == 0
