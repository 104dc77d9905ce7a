"""Gradient on the predicted clean latents only: no backward pass through the UNet.

As in MPGD (He et al. 2024), f(x0) = |G(decode(x0)) - G(block)|^2 is descended with respect to x0.
The step is scale-free: 2 f / |grad f|^2, twice Polyak's step towards f = 0, is Newton's where the
decoder is linear and one pixel counts, whatever the size of tile, decoder or latents. `strength` is
the share of it that is taken.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from ...models.band import LowPass
from ...models.denoising import Step


class X0GradientGuide:
    """Descend the low-frequency error on x0, through a decoder of choice."""

    through_unet = False

    def __init__(
        self, decode: Callable[[Tensor], Tensor], blocks: Tensor, *,
        low_pass: LowPass, strength: float, inner_steps: int,
    ):  # fmt: skip
        """Guide K tiles towards blocks [K, 3, b, b] in [0, 1].

        decode: latents [K, C, h, w] -> images [K, 3, H, W] in [0, 1], differentiable.
        """
        self.decode, self.low_pass = decode, low_pass
        self.target = low_pass(blocks)
        self.strength, self.inner_steps = strength, inner_steps

    def error(self, x0: Tensor) -> Tensor:
        """Squared low-frequency error of each tile (Eq. 7), summed over its pixels: [K]."""
        low = self.low_pass(self.decode(x0))
        return (low - self.target.to(low)).square().sum(dim=(1, 2, 3))

    def __call__(self, z: Tensor, x0: Tensor, step: Step) -> tuple[Tensor, Tensor]:
        """Take `inner_steps` gradient steps on x0; z stays."""
        for _ in range(self.inner_steps):
            with torch.enable_grad():
                moving = x0.detach().requires_grad_()
                error = self.error(moving)
                (gradient,) = torch.autograd.grad(error.sum(), moving)
            length = gradient.square().sum(dim=(1, 2, 3)).clamp(min=1e-12)
            rate = self.strength * 2 * error.detach() / length
            x0 = x0.detach() - rate[:, None, None, None] * gradient
        return z, x0
