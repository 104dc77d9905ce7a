"""Filtered difference: add the low frequencies in which the encoded block differs from the tile.

The guide of FGD in latent space: x' = x + s * G (E(block) - x), G a Gaussian as wide as a cell. All
latent channels take part, so that it ties more than the colours that `projection` ties.
"""

import torch
from torch import Tensor

from ...models.band import along_both, blur_matrix, blur_sigma
from ...models.base import BaseModel
from ...models.denoising import Step
from ..blocks import enlarge


class FilteredDifferenceGuide:
    """Low-pass filtered difference of latents, added to the prediction."""

    through_unet = False

    def __init__(self, base: BaseModel, blocks: Tensor, tile: int, *, cells: int, strength: float):
        """Guide K tiles of `tile` px towards blocks [K, 3, b, b] in [0, 1]."""
        self.target = base.encode(enlarge(blocks, tile))
        side = self.target.shape[-1]
        self.blur = blur_matrix(side, blur_sigma(side, cells))
        self.strength = strength

    @torch.no_grad()
    def __call__(self, z: Tensor, x0: Tensor, step: Step) -> tuple[Tensor, Tensor]:
        """Add the filtered difference to x0; z stays."""
        return z, x0 + self.strength * along_both(self.blur, self.target.to(x0) - x0)
