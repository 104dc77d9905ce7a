"""Which tile gets which subject: no clumps, equal shares, keyed by the seed."""

from collections import Counter
from itertools import product

import numpy as np
import pytest
import torch

from smalti.configs.mosaic import PictureSettings
from smalti.generate.grid import Grid
from smalti.generate.palette import COLORS, color_names
from smalti.generate.spread import assign_subjects, likeness, spread
from smalti.generate.subjects import fill_defaults


def singles(count: int) -> list[tuple[int]]:
    """Kinds of one trait."""
    return [(number,) for number in range(count)]


def test_two_choices_make_neighbours_differ():
    placed = spread(Grid(8, 8, 128, 16), singles(2), 0, "concept")
    assert Counter(placed.values()) == {0: 32, 1: 32}
    beside = [placed[r, c] == placed[r, c + 1] for r in range(8) for c in range(7)]
    above = [placed[r, c] == placed[r + 1, c] for r in range(7) for c in range(8)]
    assert sum(beside + above) <= 0.1 * 112


@pytest.mark.parametrize("count", [1, 3, 5])
def test_choices_are_used_equally_often(count):
    used = Counter(spread(Grid(9, 7, 128, 16), singles(count), 3, "prompt").values())
    assert len(used) == count
    assert max(used.values()) - min(used.values()) <= 2


def test_the_pattern_depends_on_the_seed_alone():
    grid = Grid(6, 6, 128, 16)
    assert spread(grid, singles(3), 0, "x") == spread(grid, singles(3), 0, "x")
    assert spread(grid, singles(3), 0, "x") != spread(grid, singles(3), 1, "x")


@pytest.mark.parametrize("sizes", [(2, 2), (2, 3), (3, 3), (2, 2, 3)], ids=str)
def test_all_combinations_are_used_and_neighbours_share_little(sizes):
    """Spread each by itself, two concepts and two prompts were one chessboard of two kinds."""
    kinds = list(product(*(range(size) for size in sizes)))
    placed = spread(Grid(12, 12, 128, 16), kinds, 0, "both")
    used = Counter(placed.values())
    assert len(used) == len(kinds) and max(used.values()) - min(used.values()) <= 2
    shared = [
        sum(a == b for a, b in zip(kinds[one], kinds[placed[other]], strict=True))
        for (row, col), one in placed.items()
        for other in ((row, col + 1), (row + 1, col)) if other in placed
    ]  # fmt: skip
    by_chance = sum(1 / size for size in sizes)
    assert sum(shared) / len(shared) < 0.75 * by_chance
    assert sum(count == len(sizes) for count in shared) <= 0.02 * len(shared)


def test_likeness_is_the_square_of_the_share_of_equal_traits():
    found = likeness([("a", "x", 1), ("a", "y", None), ("b", "x", None)])
    assert found == pytest.approx(np.array([[1, 1 / 9, 1 / 9], [1 / 9, 1, 0], [1 / 9, 0, 1]]))
    assert likeness([("a", 1), ("a", 2)]) == pytest.approx(np.eye(2)), "what all have tells nothing"


def test_words_in_braces_are_spread_like_prompts():
    given = PictureSettings(
        tile_lora=("pim", "bolt"), tile_prompt=("a <concept> {from the left|from behind}",), ref="x"
    )
    grid = Grid(6, 6, 64, 4)
    subjects = assign_subjects(fill_defaults(given), grid, torch.rand(36, 3, 4, 4))
    assert Counter((s.concept, s.prompt) for s in subjects.values()).keys() == set(
        product(("pim", "bolt"), ("a <concept> from the left", "a <concept> from behind"))
    )


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
