"""What every guide has in common: one signature, so that guides can be compared and added."""

from dataclasses import dataclass
from typing import Protocol

from torch import Tensor


@dataclass(frozen=True)
class Step:
    """Where in the denoising process a guide is called."""

    index: int
    """0 for the first, noisiest step."""
    count: int
    """How many steps there are."""
    timestep: int
    alpha: float
    """Signal level of z_t, sqrt(alpha_bar)."""
    sigma: float
    """Noise level of z_t, sqrt(1 - alpha_bar)."""
    carry: float
    """d x0 / d z_t with the network's output held fixed: 1/alpha, alpha, 0 for eps, v, sample."""

    def within(self, start: float, end: float) -> bool:
        """Whether the middle of this step lies between two shares of the whole process."""
        return start <= (self.index + 0.5) / self.count <= end


class Guide(Protocol):
    """Pulls a batch of tiles towards its reference blocks, between prediction and step."""

    through_unet: bool
    """Whether the guide differentiates x0 with respect to z_t; the sampler then keeps the graph."""

    def __call__(self, z: Tensor, x0: Tensor, step: Step) -> tuple[Tensor, Tensor]:
        """Guided (z_t, x0) from noisy latents z and predicted clean latents x0, [K, C, h, w].

        With `through_unet`, z requires gradients and x0 depends on it. Tiles of a batch must not
        influence each other.
        """
        ...
