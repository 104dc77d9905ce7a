"""Obedience on pictures whose background and style are known."""

import pytest
import torch

from smalti.evaluate.checkpoints import nearness
from smalti.evaluate.obedience import STYLES, border_means, has_background, has_style
from smalti.generate.palette import COLORS


def framed(color: str, inner: str, side: int = 32) -> torch.Tensor:
    """A picture [3, side, side] of one colour with a square of another in its middle."""
    shades = {name: torch.tensor(rgb)[:, None, None] / 255 for name, rgb in COLORS.items()}
    picture = shades[color].expand(3, side, side).clone()
    picture[:, 4:-4, 4:-4] = shades[inner]
    return picture


def test_the_border_tells_the_background():
    shown = (("red", "blue"), ("dark green", "red"), ("red", "red"))
    pictures = torch.stack([framed(*colors) for colors in shown])
    torch.testing.assert_close(border_means(pictures)[0], torch.tensor(COLORS["red"]) / 255)
    assert has_background(pictures, ["red", "green", "blue"]).tolist() == [1, 1, 0]
    near = nearness(pictures, ["red", "red", "red"])
    assert near[0] == near[2] == pytest.approx(1, abs=1e-5) and near[1] < 0.8


class Reader:
    """A judge that reads a picture's style off its first value, and likes the first text most."""

    def similarity(self, images, texts):
        found = torch.eye(len(STYLES))[images[:, 0, 0, 0].long()] * 0.1
        found[:, 0] += 0.5
        return found


def test_a_text_that_a_judge_likes_of_all_pictures_wins_none():
    pictures = torch.arange(len(STYLES)).float().view(-1, 1, 1, 1).expand(-1, 3, 4, 4)
    assert has_style(Reader(), pictures, STYLES, "cat").tolist() == [1] * len(STYLES)
    assert has_style(Reader(), pictures, STYLES[::-1], "cat").sum() == 0
