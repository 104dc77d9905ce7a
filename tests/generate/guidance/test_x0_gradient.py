"""The gradient on clean latents against Newton's step and finite differences."""

import torch
from linear_base import MATRIX, LinearBase, step

from smalti.generate.guidance.x0_gradient import X0GradientGuide
from smalti.models.band import LowPass


def test_x0_gradient_is_newtons_step_where_one_pixel_counts():
    """One latent pixel under a linear decoder of three equal rows: one step ends the error."""

    def decode(x):
        return x[:, :3] * 0.4 + 0.1

    x0, blocks = torch.zeros(1, 4, 1, 1), torch.full((1, 3, 1, 1), 0.9)
    guide = X0GradientGuide(decode, blocks, low_pass=LowPass(1, 0), strength=1.0, inner_steps=1)
    _, guided = guide(x0, x0, step())
    assert torch.allclose(decode(guided), blocks, atol=1e-6)
    assert guided[0, 3] == 0


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
