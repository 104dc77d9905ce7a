"""Projection: put the reference's low band into the predicted clean tile, in closed form.

The tile's low band in RGB is nearly linear in its latents, M x + b (`models/linear_decoder.py`). Of
all tiles with the wanted band, the nearest to the prediction is

    x' = x + s * U M+ (target - M A x - b)

with A the area means over the band's cells, M+ the pseudo-inverse and U an enlargement whose means
are the cells again (A U = 1), smooth so that cells leave no edges. It is the null-space projection
of DDNM (Wang et al. 2023, Eq. 8) through a learned linear map; what A does not see, and the latent
direction that M does not see, stay as the model drew them. No gradient is computed, and a step
costs a few small matrix products.

The subject is left with what lies above the band. That is made stronger, a little at every step
(`detail` is the product over all of them), and the network makes of it what its own pictures have
there. Near black and white a tile has no room for a subject; `headroom` keeps the target away from
both.

The map is not exact: contrasts and saturated colours decode to less than it promises. At the last
step the tile is therefore decoded `corrections` times; only the way of the error measured there
back into the latents is linear, as in Newton's method with a constant slope.
"""

import torch
from torch import Tensor

from ...models.base import BaseModel
from .band import along_both, area_matrix, spread_matrix
from .base import Step

KNEE = 4  # power of the tone curve: mid-tones stay, and it rises everywhere for headroom < 1 / KNEE


class ProjectionGuide:
    """Closed-form low-band guidance through a linear latent->RGB map."""

    through_unet = False

    def __init__(
        self, base: BaseModel, blocks: Tensor, *,
        cells: int, strength: float = 1.0, corrections: int = 0, detail: float = 1.0,
        headroom: float = 0.0,
    ):  # fmt: skip
        """Guide K tiles towards the `cells` x `cells` means of blocks [K, 3, b, b] in [0, 1]."""
        self.base, self.decoder = base, base.linear_decoder
        self.target = along_both(area_matrix(blocks.shape[-1], cells), with_room(blocks, headroom))
        self.cells, self.strength = cells, strength
        self.corrections, self.detail = corrections, detail

    @torch.no_grad()
    def __call__(self, z: Tensor, x0: Tensor, step: Step) -> tuple[Tensor, Tensor]:
        """Replace the low band of x0 and strengthen the rest; z stays."""
        low = along_both(spread_matrix(self.cells, x0.shape[-1]), self.low_latents(x0))
        x0 = low + self.detail ** (1 / step.count) * (x0 - low)
        x0 = self.projected(x0, self.low_linear(x0))
        is_last = step.index == step.count - 1
        for _ in range(self.corrections if is_last else 0):
            x0 = self.projected(x0, self.low_decoded(x0))
        return z, x0

    def projected(self, x0: Tensor, low: Tensor) -> Tensor:
        """The nearest tile with the target's band, if x0's band in RGB is `low`."""
        missing = self.strength * (self.target.to(x0) - low)
        return x0 + along_both(spread_matrix(self.cells, x0.shape[-1]), self.decoder.lift(missing))

    def low_latents(self, x0: Tensor) -> Tensor:
        """Low band [K, C, c, c] of latents [K, C, h, h]."""
        return along_both(area_matrix(x0.shape[-1], self.cells), x0)

    def low_linear(self, x0: Tensor) -> Tensor:
        """Low band [K, 3, c, c] in RGB as the linear map sees it."""
        return self.decoder(self.low_latents(x0))

    def low_decoded(self, x0: Tensor) -> Tensor:
        """Low band [K, 3, c, c] in RGB of the decoded tile, as the eye will see it."""
        pixels = self.base.decode(x0).clamp(0, 1)
        return along_both(area_matrix(pixels.shape[-1], self.cells), pixels).to(x0)


def with_room(blocks: Tensor, headroom: float) -> Tensor:
    """Values v in [0, 1] bent into [headroom, 1 - headroom], the middle left as it is.

    v + h (1 - v)^4 - h v^4, which rises everywhere for h below a quarter.
    """
    return blocks + headroom * ((1 - blocks) ** KNEE - blocks**KNEE)
