"""What a user leaves out is filled in; what contradicts itself is refused."""

import pytest

from smalti.configs.errors import InputError
from smalti.configs.mosaic import PictureSettings
from smalti.generate.subjects import fill_defaults, name_color


def test_defaults_from_a_tile_concept():
    filled = fill_defaults(PictureSettings(tile_lora=("sylvie",)))
    assert filled.ref_lora == ("sylvie",)
    assert all("<concept>" in prompt for prompt in (*filled.tile_prompt, filled.ref_prompt))


def test_defaults_from_a_reference_concept():
    assert fill_defaults(PictureSettings(ref_lora="eileen")).tile_lora == ("eileen",)


def test_tiles_show_what_the_reference_does_where_only_that_is_given():
    assert fill_defaults(PictureSettings(ref_prompt="a castle")).tile_prompt == ("a castle",)


def test_a_reference_names_no_blocks_colour():
    prompts = ("a cup on a <color> background", "a cup")
    filled = fill_defaults(PictureSettings(tile_prompt=prompts))
    assert filled.ref_prompt == "a cup on a background"
    assert filled.tile_prompt == prompts


def test_prompts_without_the_placeholder_get_it():
    filled = fill_defaults(PictureSettings(tile_lora=("sylvie",), tile_prompt=("in the rain",)))
    assert filled.tile_prompt == ("a <concept>, in the rain",)


@pytest.mark.parametrize(
    ("given", "pool", "named"),
    [
        ({}, False, "--tile-lora"),
        ({"ref": "photo.jpg"}, False, "--tile-lora"),
        ({"ref": "a.jpg", "ref_prompt": "a cat", "tile_prompt": ("x",)}, False, "--ref-prompt"),
        ({"tile_prompt": ("a <concept>",)}, False, "a <concept>"),
        ({"ref": "a.jpg", "tile_prompt": ("a cat",)}, True, "--tile-prompt"),
        ({}, True, "--ref "),
    ],
)
def test_bad_combinations(given, pool, named):
    with pytest.raises(InputError) as told:
        fill_defaults(PictureSettings(**given), pool=pool)
    assert named in str(told.value)


def test_colour_names_take_the_right_article():
    assert name_color("a cat on a <color> background", "orange") == "a cat on an orange background"
    assert name_color("an <color> cat", "red") == "a red cat"
    assert name_color("cat, <color>", "light blue") == "cat, light blue"
