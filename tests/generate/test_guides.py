"""The guides that need no backward pass through the UNet, each against what defines it."""

import pytest
import torch
from torch.nn.functional import conv1d

from smalti.generate.color import enlarge
from smalti.generate.guidance import (
    FilteredDifferenceGuide,
    LowPass,
    ProjectionGuide,
    Step,
    X0GradientGuide,
)
from smalti.generate.guidance.band import blur_sigma
from smalti.models.linear_decoder import LinearDecoder

MATRIX = torch.tensor([[0.2, 0.1, 0.0, -0.1], [0.0, 0.3, 0.1, 0.0], [0.1, 0.0, 0.2, 0.1]])
BIAS = torch.tensor([0.5, 0.4, 0.6])


class LinearBase:
    """A base whose decoder is a linear map per latent pixel, repeated 8 x 8 times, and bent."""

    def __init__(self, bend: float = 0.0):
        self.linear_decoder = LinearDecoder(MATRIX, BIAS, torch.eye(4), 1.0)
        self.bend = bend

    def decode(self, latents):
        rgb = torch.einsum("rc,kchw->krhw", MATRIX, latents) + BIAS[:, None, None]
        rgb = rgb + self.bend * (rgb - 0.5)
        return rgb.repeat_interleave(8, 2).repeat_interleave(8, 3)


def projection(base: LinearBase, blocks, **options) -> ProjectionGuide:
    return ProjectionGuide(base.linear_decoder, base.decode, blocks, **options)


def step(index: int = 0, count: int = 10) -> Step:
    return Step(index=index, count=count, timestep=500, alpha=0.6, sigma=0.8, carry=1.0)


def means(images, cells):
    """Means of cells, by loops."""
    side = images.shape[-1] // cells
    out = torch.empty(*images.shape[:2], cells, cells)
    for i in range(cells):
        for j in range(cells):
            cell = images[:, :, i * side : (i + 1) * side, j * side : (j + 1) * side]
            out[:, :, i, j] = cell.mean(dim=(2, 3))
    return out


@pytest.fixture
def tiles():
    """Clean latents of two tiles, noisy ones, and blocks that lie within what decodes to 0..1."""
    g = torch.Generator().manual_seed(0)
    x0, z = 0.1 * torch.randn(2, 2, 4, 16, 16, generator=g)
    return x0, z, 0.4 + 0.2 * torch.rand(2, 3, 32, 32, generator=g)


# --- projection -------------------------------------------------------------------------------


@pytest.mark.parametrize("cells", [1, 2, 4, 8])
@pytest.mark.parametrize("index", [0, 9])
def test_projection_gives_the_tile_its_blocks_means(tiles, cells, index):
    x0, z, blocks = tiles
    same, guided = projection(LinearBase(), blocks, cells=cells)(z, x0, step(index))
    assert torch.equal(same, z)
    assert torch.allclose(
        means(LinearBase().decode(guided), cells), means(blocks, cells), atol=1e-5
    )


def test_projection_is_the_smallest_change_that_reaches_the_means(tiles):
    """With cells of one latent pixel: least squares pixel by pixel says the same."""
    x0, z, blocks = tiles
    change = projection(LinearBase(), blocks, cells=16)(z, x0, step())[1] - x0
    wanted = means(blocks, 16) - LinearBase().decode(x0)[..., ::8, ::8]
    flat = wanted.movedim(1, 0).flatten(1)
    expected = torch.linalg.lstsq(MATRIX, flat, driver="gelsd").solution
    assert torch.allclose(change.movedim(1, 0).flatten(1), expected, atol=1e-4)


def test_strength_is_the_share_of_the_error_that_goes(tiles):
    x0, z, blocks = tiles
    guide = projection(LinearBase(), blocks, cells=4, strength=0.3)
    before = means(LinearBase().decode(x0), 4) - means(blocks, 4)
    after = means(LinearBase().decode(guide(z, x0, step())[1]), 4) - means(blocks, 4)
    assert torch.allclose(after, 0.7 * before, atol=1e-5)


@pytest.mark.parametrize("strength", [1.0, 0.4])
def test_corrections_see_at_the_last_step_what_the_map_gets_wrong(tiles, strength):
    """The decoder bends contrasts by 30 %: a pull of p at the decoded tile goes 1.3 p of the way.

    A look is a pull that would leave (1 - strength)^3 if nothing were bent.
    """
    x0, z, blocks = tiles
    base, target = LinearBase(bend=0.3), means(blocks, 4)
    at_first = means(LinearBase().decode(x0), 4) - target

    def error(corrections, index):
        guide = projection(base, blocks, cells=4, strength=strength, corrections=corrections)
        return means(base.decode(guide(z, x0, step(index))[1]), 4) - target

    for corrections in range(3):
        by_the_map = (1 - strength) * at_first
        blind = by_the_map + 0.3 * (by_the_map + target - 0.5)
        assert torch.allclose(error(corrections, 8), blind, atol=1e-5), "not before the last step"
        expected = (1 - 1.3 * (1 - (1 - strength) ** 3)) ** corrections * blind
        assert torch.allclose(error(corrections, 9), expected, atol=1e-5)


# --- filtered difference ----------------------------------------------------------------------


class EncodingBase:
    def encode(self, images):
        return torch.stack([images[:, i % 3, ::8, ::8] for i in range(4)], 1)


def test_filtered_difference_against_convolutions(tiles):
    """A Gaussian along each axis; where it is cut by an edge, what is left counts as the whole."""
    x0, z, blocks = tiles
    guide = FilteredDifferenceGuide(EncodingBase(), blocks, 128, cells=4, strength=0.5)
    same, guided = guide(z, x0, step())
    difference = EncodingBase().encode(enlarge(blocks, 128)) - x0
    sigma, at = blur_sigma(16, 4), torch.arange(-15, 16)
    kernel = torch.exp(-0.5 * (at / sigma) ** 2)[None, None]

    def blurred(x):
        rows = x.reshape(-1, 1, 16)
        return conv1d(rows, kernel, padding=15) / conv1d(torch.ones(1, 1, 16), kernel, padding=15)

    low = blurred(difference).reshape(difference.shape).transpose(2, 3)
    low = blurred(low.contiguous()).reshape(difference.shape).transpose(2, 3)
    assert torch.equal(same, z)
    assert torch.allclose(guided, x0 + 0.5 * low, atol=1e-5)


# --- gradient on the clean latents ------------------------------------------------------------


def test_x0_gradient_is_newtons_step_where_one_pixel_counts():
    """One latent pixel under a linear decoder of three equal rows: one step ends the error."""
    base = LinearBase()

    def decode(x):
        return x[:, :3] * 0.4 + 0.1

    x0, blocks = torch.zeros(1, 4, 1, 1), torch.full((1, 3, 1, 1), 0.9)
    guide = X0GradientGuide(decode, blocks, low_pass=LowPass(1, 0), strength=1.0, inner_steps=1)
    _, guided = guide(x0, x0, step())
    assert torch.allclose(decode(guided), blocks, atol=1e-6)
    assert guided[0, 3] == 0
    assert base.bend == 0


def test_x0_gradient_goes_down_the_slope_of_finite_differences(tiles):
    """Direction from finite differences, length 2 f / |slope|."""
    x0, z, blocks = (x.double() for x in tiles)

    def decode(x):
        return torch.tanh(torch.einsum("rc,kchw->krhw", MATRIX.double(), x)) / 2 + 0.5

    low_pass = LowPass(8, 1.0)
    guide = X0GradientGuide(decode, blocks, low_pass=low_pass, strength=0.5, inner_steps=1)
    change = guide(z, x0, step())[1] - x0

    def error(x):
        return (low_pass(decode(x)) - low_pass(blocks)).square().sum(dim=(1, 2, 3))

    length = change.flatten(1).norm(dim=1)
    direction = change / length[:, None, None, None]
    h = 1e-5
    slope = -(error(x0 + h * direction) - error(x0 - h * direction)) / (2 * h)
    assert torch.allclose(length, 0.5 * 2 * error(x0) / slope, rtol=1e-5)
    # no other direction falls faster
    other = torch.randn_like(change)
    other = other / other.flatten(1).norm(dim=1)[:, None, None, None]
    assert ((error(x0 + h * other) - error(x0 - h * other)).abs() / (2 * h) < slope).all()


def test_inner_steps_go_on_down(tiles):
    x0, z, blocks = tiles

    def error(steps):
        guide = X0GradientGuide(
            LinearBase().decode, blocks, low_pass=LowPass(16, 2.0), strength=0.5, inner_steps=steps
        )
        return guide.error(guide(z, x0, step())[1])

    assert (error(4) < error(1)).all()
