"""The paper's guidance: gradient descent on z_t through decoder and UNet (section 3.3).

What makes w = 5000 meaningful. Read literally, ||.||^2 in Eq. 7 sums over all pixels: at the
paper's size (block 96 x 96 px, latents 96 x 96) w = 5000 would then move every latent value by
thousands of standard deviations per step. Only the *mean* over pixels and channels, which is what
an MSE loss computes, gives steps of about 0.1. The mean has a scale of its own, though. Each of the
h*w latent pixels governs 1/(h*w) of the picture, so that its gradient is

    d mean / d z = (2 / (h*w)) * average over its own pixels of (error * Jacobian),

whatever resolution the pictures are compared at. On a 16 x 16 tile it is 36 times that of a 96 x 96
one. We therefore minimise h*w * mean, whose gradient does not depend on the tile's size, and take
the step w / (96*96): for the paper's tile that is the plain mean with the paper's w, and for any
other tile the same w moves a latent value equally far. Pictures count in [0, 1].
"""

import torch
from torch import Tensor

from ...models.band import LowPass
from ...models.base import BaseModel
from ...models.denoising import Step

# RGB -> Y of YCbCr (ITU-R BT.601; paper, Eq. 9), for the variant that it rejects (Table 4).
LUMA = torch.tensor([[0.299, 0.587, 0.114]])
PAPER_LATENT_AREA = 96 * 96  # h*w of the paper's 768 px tiles


class ExactGuide:
    """Low-frequency guidance, Eq. 6-8, exact."""

    through_unet = True

    def __init__(
        self, base: BaseModel, blocks: Tensor, *, weight: float, decay: float, low_pass: LowPass,
        space: Tensor | None = None,
    ):  # fmt: skip
        """Guide K tiles towards blocks [K, 3, b, b] in [0, 1] with w = weight, gamma = decay.

        space: matrix [n, 3] from RGB to the values in which errors count, their mean over all n;
        RGB itself without it.
        """
        self.space = space
        self.base = base
        self.low_pass = low_pass
        self.target = low_pass(blocks)
        self.weight = weight
        self.decay = decay

    def error(self, x0: Tensor) -> Tensor:
        """Squared low-frequency error of each tile (Eq. 7, 10) times its latent area: [K]."""
        decoded = self.base.decode(x0)
        difference = self.low_pass(decoded) - self.target.to(decoded)
        if self.space is not None:
            difference = torch.einsum("rc,kchw->krhw", self.space.to(difference), difference)
        return difference.square().mean(dim=(1, 2, 3)) * (x0.shape[2] * x0.shape[3])

    def __call__(self, z: Tensor, x0: Tensor, step: Step) -> tuple[Tensor, Tensor]:
        """Apply z <- z - w grad, w <- gamma w (Eq. 8); x0 follows with the network's output kept.

        Keeping the output saves a second UNet pass per step, as in the paper's cost.
        """
        (gradient,) = torch.autograd.grad(self.error(x0).sum(), z)
        weight = self.weight * self.decay**step.index / PAPER_LATENT_AREA
        shift = -weight * gradient
        return z.detach() + shift, x0.detach() + step.carry * shift
