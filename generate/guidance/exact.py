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

from ...models.base import BaseModel
from .base import Step

PAPER_LATENT_AREA = 96 * 96  # h*w of the paper's 768 px tiles


def blur_matrix(size: int, sigma: float) -> Tensor:
    """A 1-D Gaussian blur as a matrix [size, size] whose rows sum to 1, edges included."""
    if sigma <= 0:
        return torch.eye(size, dtype=torch.float64)
    position = torch.arange(size, dtype=torch.float64)
    weight = torch.exp(-0.5 * ((position[:, None] - position) / sigma).square())
    return weight / weight.sum(dim=1, keepdim=True)


def area_matrix(size: int, smaller: int) -> Tensor:
    """1-D resampling by area as a matrix [smaller, size]; pixels cut by an edge count in part."""
    edges = torch.arange(smaller + 1, dtype=torch.float64) * size / smaller
    pixel = torch.arange(size, dtype=torch.float64)
    overlap = torch.minimum(edges[1:, None], pixel + 1) - torch.maximum(edges[:-1, None], pixel)
    return overlap.clamp(min=0) * smaller / size


class LowPass:
    """Resize to size x size px by area, then blur: the operator G of Eq. 7, one matrix per axis."""

    def __init__(self, size: int, sigma: float):
        """Blur with a Gaussian of `sigma` px at `size` px."""
        self.size = size
        self.blur = blur_matrix(size, sigma)
        self._matrices: dict[int, Tensor] = {}

    def __call__(self, images: Tensor) -> Tensor:
        """Square images [K, 3, H, H] -> their low frequencies [K, 3, size, size]."""
        side = images.shape[-1]
        if side not in self._matrices:
            self._matrices[side] = (self.blur @ area_matrix(side, self.size)).to(images)
        matrix = self._matrices[side].to(images)
        return matrix @ images @ matrix.T


class ExactGuide:
    """Low-frequency guidance, Eq. 6-8, exact."""

    through_unet = True

    def __init__(
        self, base: BaseModel, blocks: Tensor, *, weight: float, decay: float, low_pass: LowPass
    ):
        """Guide K tiles towards blocks [K, 3, b, b] in [0, 1] with w = weight, gamma = decay."""
        self.base = base
        self.low_pass = low_pass
        self.target = low_pass(blocks)
        self.weight = weight
        self.decay = decay

    def error(self, x0: Tensor) -> Tensor:
        """Squared low-frequency error of each tile (Eq. 7) times its latent area: [K]."""
        decoded = self.base.decode(x0)
        difference = self.low_pass(decoded) - self.target.to(decoded)
        return difference.square().mean(dim=(1, 2, 3)) * (x0.shape[2] * x0.shape[3])

    def __call__(self, z: Tensor, x0: Tensor, step: Step) -> tuple[Tensor, Tensor]:
        """Apply z <- z - w grad, w <- gamma w (Eq. 8); x0 follows with the network's output kept.

        Keeping the output saves a second UNet pass per step, as in the paper's cost.
        """
        (gradient,) = torch.autograd.grad(self.error(x0).sum(), z)
        weight = self.weight * self.decay**step.index / PAPER_LATENT_AREA
        shift = -weight * gradient
        return z.detach() + shift, x0.detach() + step.carry * shift
