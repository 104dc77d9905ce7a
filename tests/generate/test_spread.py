"""Which tile gets which subject: no clumps, equal shares, keyed by the seed."""

from collections import Counter

import pytest
import torch

from smalti.configs.mosaic import PictureSettings
from smalti.generate.grid import Grid
from smalti.generate.palette import COLORS, color_names
from smalti.generate.spread import assign_subjects, spread
from smalti.generate.subjects import fill_defaults


def test_two_choices_make_neighbours_differ():
    placed = spread(Grid(8, 8, 128, 16), 2, 0, "concept")
    assert Counter(placed.values()) == {0: 32, 1: 32}
    beside = [placed[r, c] == placed[r, c + 1] for r in range(8) for c in range(7)]
    above = [placed[r, c] == placed[r + 1, c] for r in range(7) for c in range(8)]
    assert sum(beside + above) <= 0.1 * 112


@pytest.mark.parametrize("count", [1, 3, 5])
def test_choices_are_used_equally_often(count):
    used = Counter(spread(Grid(9, 7, 128, 16), count, 3, "prompt").values())
    assert len(used) == count
    assert max(used.values()) - min(used.values()) <= 2


def test_the_pattern_depends_on_the_seed_alone():
    grid = Grid(6, 6, 128, 16)
    assert spread(grid, 3, 0, "x") == spread(grid, 3, 0, "x")
    assert spread(grid, 3, 0, "x") != spread(grid, 3, 1, "x")


def test_colours_are_named_after_their_own_values():
    values = torch.tensor(list(COLORS.values())) / 255
    blocks = values[:, :, None, None].expand(-1, 3, 4, 4)
    assert color_names(blocks) == list(COLORS)


def test_tiles_are_told_their_blocks_colour():
    given = PictureSettings(tile_prompt=("a cat on a <color> background",), ref_prompt="x")
    blocks = torch.stack([torch.zeros(3, 4, 4), torch.ones(3, 4, 4)])
    subjects = assign_subjects(fill_defaults(given), Grid(1, 2, 64, 4), blocks)
    assert subjects[0, 0].prompt == "a cat on a black background"
    assert subjects[0, 1].prompt == "a cat on a white background"
