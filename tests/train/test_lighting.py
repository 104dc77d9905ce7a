"""Relit pictures against block means and a ramp computed cell by cell in plain Python."""

import math
from random import Random

import pytest
import torch

from smalti.train.lighting import CELLS, SHARES, Light, draw_lights, relit

SIZE = 32
BLOCK = SIZE // CELLS


def light(share: float, colors=((0.2, 0.5, 0.7), (0.6, 0.4, 0.3)), line=(0.4, 0.1, 2.0)) -> Light:
    return Light(torch.tensor([colors]), torch.tensor([line]), torch.tensor([share]))


def means(pictures: torch.Tensor) -> torch.Tensor:
    """Block means [K, 3, CELLS, CELLS], by a sum over each block."""
    rows = [[pictures[..., r : r + BLOCK, c : c + BLOCK].sum((-1, -2)) / BLOCK**2
             for c in range(0, SIZE, BLOCK)] for r in range(0, SIZE, BLOCK)]  # fmt: skip
    return torch.stack([torch.stack(row, -1) for row in rows], -2)


@pytest.fixture
def picture() -> torch.Tensor:
    """Mid-grey noise, so that nothing is clipped."""
    return 0.45 + 0.1 * torch.rand(1, 3, SIZE, SIZE, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize(("angle", "middle", "steepness"), [(0.4, 0.1, 2.0), (3.9, -0.6, 8.0)])
def test_cells_are_a_ramp(angle: float, middle: float, steepness: float) -> None:
    first, last = (0.2, 0.5, 0.7), (0.6, 0.4, 0.3)
    cells = light(1.0, (first, last), (angle, middle, steepness)).cells()[0]
    for row in range(CELLS):
        for column in range(CELLS):
            x, y = (2 * column + 1) / CELLS - 1, (2 * row + 1) / CELLS - 1
            distance = x * math.cos(angle) + y * math.sin(angle) - middle
            share = min(1, max(0, distance * steepness / 2 + 0.5))
            expected = [a + share * (b - a) for a, b in zip(first, last, strict=True)]
            assert cells[:, row, column].tolist() == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize("share", [0.3, 0.8])
def test_a_share_of_the_means_is_replaced(picture: torch.Tensor, share: float) -> None:
    wanted = (1 - share) * means(picture) + share * light(share).cells()
    torch.testing.assert_close(means(relit(picture, light(share))), wanted, atol=1e-5, rtol=0)


def test_details_stay(picture: torch.Tensor) -> None:
    """Two pictures with the same block means change by the same."""
    coarse = means(picture).repeat_interleave(BLOCK, -1).repeat_interleave(BLOCK, -2)
    change = relit(coarse, light(0.7)) - coarse
    torch.testing.assert_close(relit(picture, light(0.7)) - picture, change, atol=1e-5, rtol=0)


def test_no_share_is_the_picture_itself(picture: torch.Tensor) -> None:
    assert torch.equal(relit(picture, light(0.0)), picture)


def test_what_leaves_the_range_is_clipped(picture: torch.Tensor) -> None:
    white = relit(picture, light(0.9, ((1.0,) * 3,) * 2))
    assert white.max() <= 1 and white.mean() > 0.9


def test_drawn_lights_keep_their_ranges() -> None:
    drawn = draw_lights(Random(0), 500)
    colors, shares = drawn.colors, drawn.shares
    assert colors.min() >= 0 and colors.max() <= 1 and colors[:, 0].std() > 0.2
    assert shares.min() >= SHARES[0] and shares.max() <= SHARES[1]
    brightness = colors.mean(-1)
    assert (brightness[:, 1] - brightness[:, 0]).abs().max() > 0.5  # dark beside light, in one tile
    edges = (drawn.cells().diff(dim=-1).abs().amax((1, 2, 3)) > 0.4).float().mean()
    assert 0.01 < edges < 0.5  # some have a hard edge, most do not
