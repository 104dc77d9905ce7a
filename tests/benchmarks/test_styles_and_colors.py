"""Styles and colours by name: what is asked for, and which colour a picture counts as."""

import pytest
import styles_and_colors as bench
import torch
from named_colors import COLORS

from smalti.starter.subjects import subjects_toml


def disc(color: tuple[int, int, int], behind: tuple[int, int, int]) -> torch.Tensor:
    """A disc of 30 px in the middle of a picture [3, 128, 128]: not half of its inner pixels."""
    y, x = torch.meshgrid(*[torch.arange(128) - 63.5] * 2, indexing="ij")
    inside = (x**2 + y**2 < 15**2)[None]
    front, back = (
        torch.tensor(c, dtype=torch.float32)[:, None, None] / 255 for c in (color, behind)
    )
    return torch.where(inside, front, back)


@pytest.mark.parametrize("name", ["red", "blue", "green", "pink", "black"])
def test_the_subjects_colour_counts_and_not_the_backgrounds(name: str) -> None:
    picture = disc(tuple(subjects_toml()["colors"][name][1]), (255, 255, 255))
    assert bench.main_color(picture, "white") == name
    assert bench.main_color(picture, "teal") == "white"


def test_what_share_of_pictures_has_the_colour() -> None:
    colors, white = subjects_toml()["colors"], (255, 255, 255)
    red, blue = (disc(tuple(colors[name][0]), white) for name in ("red", "blue"))
    pictures = torch.stack([torch.stack([red, blue]), torch.stack([red, red])])
    assert bench.share_in_color(pictures, "red") == 75
    assert bench.share_in_color(pictures, "blue") == 25


def test_prompts() -> None:
    assert bench.prompt("clipart", "owl") == "a clipart of an owl on a white background"
    assert bench.prompt("orange", "cat") == "an orange cat on a white background"
    assert bench.prompt("white", "cat") == "a white cat on a black background"
    assert set(bench.SUBJECT_COLORS) <= set(COLORS)
    assert set(bench.STYLES) <= set(subjects_toml()["styles_and_colors"]["styles"])
    assert len(bench.subjects()) == 11  # every one of them is a local prompt


def test_shares_have_a_row_for_each_and_their_means(monkeypatch) -> None:
    styles, colors = len(bench.STYLES), len(bench.SUBJECT_COLORS)
    right = [*range(styles), *[50.0] * colors]
    monkeypatch.setattr(bench, "recognised", lambda *_: right)
    first = bench.SUBJECT_COLORS[0]
    monkeypatch.setattr(bench, "share_in_color", lambda _, color: 100.0 * (color == first))
    rows = bench.shares(bench.ROOT, torch.zeros(styles + colors, 1, 1, 3, 128, 128))
    assert [row["name"] for row in rows] == [*bench.ATTRIBUTES, "styles", "colours"]
    assert [row["in_color"] for row in rows[:styles]] == [None] * styles
    assert rows[-2] == {"name": "styles", "recognised": (styles - 1) / 2, "in_color": None}
    assert rows[-1]["recognised"] == 50 and rows[-1]["in_color"] == pytest.approx(100 / colors)
