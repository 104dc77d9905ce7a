from collections import Counter

import pytest
import torch

from smalti.configs.errors import InputError
from smalti.configs.settings import MosaicSettings
from smalti.generate.grid import Grid
from smalti.generate.palette import COLORS, color_names
from smalti.generate.subjects import assign_subjects, fill_defaults, name_color, spread


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


def test_the_pattern_depends_on_the_seed():
    grid = Grid(6, 6, 128, 16)
    assert spread(grid, 3, 0, "x") == spread(grid, 3, 0, "x")
    assert spread(grid, 3, 0, "x") != spread(grid, 3, 1, "x")


def test_defaults_from_a_tile_concept():
    filled = fill_defaults(MosaicSettings(tile_lora=("sylvie",)))
    assert filled.ref_lora == "sylvie"
    assert all("<concept>" in prompt for prompt in (*filled.tile_prompt, filled.ref_prompt))


def test_defaults_from_a_reference_concept():
    assert fill_defaults(MosaicSettings(ref_lora="eileen")).tile_lora == ("eileen",)


def test_a_reference_names_no_blocks_colour():
    filled = fill_defaults(MosaicSettings(tile_prompt=("a cup on a <color> background", "a cup")))
    assert filled.ref_prompt == "a cup on a background"
    assert filled.tile_prompt[0] == "a cup on a <color> background"


def test_prompts_without_the_placeholder_get_it():
    filled = fill_defaults(MosaicSettings(tile_lora=("sylvie",), tile_prompt=("in the rain",)))
    assert filled.tile_prompt == ("a <concept>, in the rain",)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (MosaicSettings(), "Nothing to draw"),
        (MosaicSettings(ref="photo.jpg"), "Nothing to draw in the tiles"),
        (MosaicSettings(ref="a.jpg", ref_prompt="a cat", tile_prompt=("x",)), "one or the other"),
        (MosaicSettings(tile_prompt=("a <concept>",)), "no concept is given"),
    ],
)
def test_bad_combinations(settings, message):
    with pytest.raises(InputError, match=message):
        fill_defaults(settings)


def test_colours_are_named_after_their_own_values():
    values = torch.tensor(list(COLORS.values())) / 255
    blocks = values[:, :, None, None].expand(-1, 3, 4, 4)
    assert color_names(blocks) == list(COLORS)


def test_colour_names_take_the_right_article():
    assert name_color("a cat on a <color> background", "orange") == "a cat on an orange background"
    assert name_color("an <color> cat", "red") == "a red cat"
    assert name_color("cat, <color>", "light blue") == "cat, light blue"


def test_tiles_are_told_their_blocks_colour():
    settings = fill_defaults(
        MosaicSettings(tile_prompt=("a cat on a <color> background",), ref_prompt="x")
    )
    blocks = torch.stack([torch.zeros(3, 4, 4), torch.ones(3, 4, 4)])
    subjects = assign_subjects(settings, Grid(1, 2, 64, 4), blocks)
    assert subjects[0, 0].prompt == "a cat on a black background"
    assert subjects[0, 1].prompt == "a cat on a white background"
