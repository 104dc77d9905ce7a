"""Projection: put the reference's low band into the predicted clean tile, in closed form.

The tile's low band in RGB is nearly linear in its latents, M x + b (`models/linear_decoder.py`). Of
all tiles with the wanted band, the nearest to the prediction is

    x' = x + s * U M+ (target - M A x - b)

with A the area means over the band's cells, M+ the pseudo-inverse and U an enlargement whose means
are the cells again (A U = 1), smooth so that cells leave no edges. It is the null-space projection
of DDNM (Wang et al. 2023, Eq. 8) through a learned linear map; what A does not see, and the latent
direction that M does not see, stay as the model drew them. No gradient is computed, and a step
costs a few small matrix products.

The map is not exact: contrasts and saturated colours decode to less than it promises. In the last
`corrections` steps the error is therefore measured on the decoded tile and only its way back into
the latents is linear, which makes these steps a Newton iteration with a constant slope.
"""

import torch
from torch import Tensor

from ...models.base import BaseModel
from .band import along_both, area_matrix, spread_matrix
from .base import Step


class ProjectionGuide:
    """Closed-form low-band guidance through a linear latent->RGB map."""

    through_unet = False

    def __init__(
        self, base: BaseModel, blocks: Tensor, *, cells: int, strength: float, corrections: int
    ):
        """Guide K tiles towards the `cells` x `cells` means of blocks [K, 3, b, b] in [0, 1]."""
        self.base, self.decoder = base, base.linear_decoder
        self.target = along_both(area_matrix(blocks.shape[-1], cells), blocks)
        self.cells, self.strength, self.corrections = cells, strength, corrections

    @torch.no_grad()
    def __call__(self, z: Tensor, x0: Tensor, step: Step) -> tuple[Tensor, Tensor]:
        """Replace the low band of x0; z stays."""
        decoded = step.count - step.index <= self.corrections
        missing = self.target.to(x0) - (self.low_decoded(x0) if decoded else self.low_linear(x0))
        return z, x0 + self.strength * self.lifted(missing, x0.shape[-1])

    def low_linear(self, x0: Tensor) -> Tensor:
        """Low band [K, 3, c, c] in RGB as the linear map sees it."""
        return self.decoder(along_both(area_matrix(x0.shape[-1], self.cells), x0))

    def low_decoded(self, x0: Tensor) -> Tensor:
        """Low band [K, 3, c, c] in RGB of the decoded tile, as the eye will see it."""
        pixels = self.base.decode(x0).clamp(0, 1)
        return along_both(area_matrix(pixels.shape[-1], self.cells), pixels).to(x0)

    def lifted(self, rgb: Tensor, side: int) -> Tensor:
        """The smallest smooth change of latents [K, C, h, h] that moves the band by rgb."""
        return along_both(spread_matrix(self.cells, side), self.decoder.lift(rgb))
