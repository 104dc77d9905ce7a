"""Repainted cut-outs, against the tones worked out by hand and pixel by pixel."""

import numpy as np
import pytest
import torch
from torch import Tensor

from smalti.starter.recoloring import OPACITY, OWN_COLORS, recolored

BLUE = (0.1, 0.3, 0.9)


def cut_out(*pixels: tuple[float, float, float], alpha: float = 1.0) -> Tensor:
    """One row of pixels, `[1, 4, 1, N]`, premultiplied, and one transparent pixel behind them."""
    rows = [[*(alpha * value for value in pixel), alpha] for pixel in pixels]
    return torch.tensor([*rows, [0.0] * 4]).T.reshape(1, 4, 1, -1)


def paint(layer: Tensor, color: tuple[float, ...]) -> np.ndarray:
    """The painted picture's pixels `[N, 4]`."""
    return recolored(layer, torch.tensor([color]))[0, :, 0].T.numpy()


def mixed(own: tuple[float, ...], tone: tuple[float, ...]) -> np.ndarray:
    return OPACITY * np.array(tone) + (1 - OPACITY) * np.array(own)


def test_the_median_becomes_the_colour_and_black_and_white_stay() -> None:
    red = (0.8, 0.2, 0.1)
    black, body, white, nothing = paint(cut_out((0, 0, 0), red, (1, 1, 1)), BLUE)
    np.testing.assert_allclose(black[:3], 0, atol=1e-6)
    np.testing.assert_allclose(body[:3], mixed(red, BLUE), atol=1e-6)
    np.testing.assert_allclose(white[:3], 1, atol=1e-6)
    np.testing.assert_allclose(nothing, 0)


@pytest.mark.parametrize(("grey", "expected"), [
    (0.25, tuple(value / 2 for value in BLUE)),  # half as light as the middle
    (0.75, tuple((value + 1) / 2 for value in BLUE)),  # halfway from the middle to white
])
def test_tones_between(grey: float, expected: tuple[float, ...]) -> None:
    middle = (0.5,) * 3
    other = paint(cut_out((grey,) * 3, middle, middle), BLUE)[0]
    np.testing.assert_allclose(other[:3], mixed((grey,) * 3, expected), atol=1e-6)


def test_a_pale_picture_is_painted_too() -> None:
    pale = (0.9, 0.9, 0.9)
    cup, rim = paint(cut_out(pale, (1, 1, 1), pale), BLUE)[:2]
    np.testing.assert_allclose(cup[:3], mixed(pale, BLUE), atol=1e-5)
    np.testing.assert_allclose(rim[:3], 1, atol=1e-6)


def test_what_shines_through_stays_so() -> None:
    solid = paint(cut_out((0.8, 0.2, 0.1)), BLUE)[0]
    veil = paint(cut_out((0.8, 0.2, 0.1), alpha=0.6), BLUE)[0]
    np.testing.assert_allclose(veil, 0.6 * solid, atol=1e-6)


def test_without_a_colour_nothing_changes() -> None:
    layer = cut_out((0.8, 0.2, 0.1), (0.3, 0.3, 0.9)).repeat(2, 1, 1, 1)
    both = recolored(layer, torch.tensor([OWN_COLORS, BLUE]))
    assert torch.equal(both[0], layer[0])
    assert not torch.equal(both[1], layer[1])
    nothing = torch.zeros(1, 4, 2, 2)
    assert torch.equal(recolored(nothing, torch.tensor([BLUE])), nothing)
