"""Styles and colours by name: what is asked for, and which colour a picture counts as."""

import manners
import pytest
import torch
from starter_quality import COLORS

from smalti.starter.captions import facts


def disc(color: tuple[int, int, int], behind: tuple[int, int, int]) -> torch.Tensor:
    """A disc of 30 px in the middle of a picture [3, 128, 128]: not half of its inner pixels."""
    y, x = torch.meshgrid(*[torch.arange(128) - 63.5] * 2, indexing="ij")
    inside = (x**2 + y**2 < 15**2)[None]
    front, back = (torch.tensor(c, dtype=torch.float32)[:, None, None] / 255
                   for c in (color, behind))
    return torch.where(inside, front, back)


@pytest.mark.parametrize("name", ["red", "blue", "green", "pink", "black"])
def test_the_subjects_colour_counts_and_not_the_backgrounds(name: str) -> None:
    picture = disc(tuple(facts()["colors"][name][1]), (255, 255, 255))
    assert manners.main_color(picture, "white") == name
    assert manners.main_color(picture, "teal") == "white"


def test_what_shares_of_pictures_obey() -> None:
    red, blue = (disc(tuple(facts()["colors"][n][0]), (255, 255, 255)) for n in ("red", "blue"))
    pictures = torch.stack([torch.stack([red, blue]), torch.stack([red, red])])
    assert manners.obeyed(pictures, "red") == 75
    assert manners.obeyed(pictures, "blue") == 25


def test_prompts() -> None:
    assert manners.prompt("clipart", "owl") == "a clipart of an owl on a white background"
    assert manners.prompt("orange", "cat") == "an orange cat on a white background"
    assert manners.prompt("white", "cat") == "a white cat on a black background"
    assert set(manners.PAINTS) <= set(COLORS)
    assert set(manners.STYLES) <= set(facts()["manners"]["styles"])
    assert len(manners.subjects()) == 11  # every one of them is a local prompt
