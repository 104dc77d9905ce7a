"""Projection: put the reference's low band into the predicted clean tile, in closed form.

The tile's low band in RGB is nearly linear in its latents, M x + b (`models/linear_decoder.py`). Of
all tiles with the wanted band, the nearest to the prediction is

    x' = x + s * U N (target - M A x - b)

with A the area means over the band's cells, N the right inverse of M that changes latents as they
change in pictures (`LinearDecoder.lift`), and U an enlargement whose means are the cells again
(A U = 1), smooth so that cells leave no edges. It is the null-space projection of DDNM (Wang et al.
2023, Eq. 8) through a learned linear map; what A does not see stays as the model drew it. No
gradient is computed, and a step costs a few small matrix products.

A strength s below 1 leaves the part 1 - s of the error at every step. The network sees the result,
draws its subject into it, and is pulled again: the tile ends where both agree, with more of the
subject's own colours and light than a full projection leaves it at the same distance from the
reference (docs/guidance.md).

The map is not exact: contrasts and saturated colours decode to less than it promises. At the last
step the tile is therefore decoded `corrections` times; only the way of the error measured there
back into the latents is linear, as in Newton's method with a constant slope. A look costs as much
as decoding the tile once more, and leaves (1 - s)^3 of the error, as three pulls would: with so
much done at the end, tiles are pulled less while the network draws, and keep more of their subject.
Networks that draw in up to four steps decide nearly all at each of them, and are looked at after
every one: what the map gets wrong there, no later step would take back.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from ...models.band import along_both, area_matrix, spread_matrix
from ...models.denoising import Step
from ...models.linear_decoder import LinearDecoder
from .cost import FEW_STEPS

LOOK = 3  # pulls that a look at the decoded tile counts for


class ProjectionGuide:
    """Closed-form low-band guidance through a linear latent->RGB map."""

    through_unet = False

    def __init__(
        self,
        linear: LinearDecoder,
        decode: Callable[[Tensor], Tensor],
        blocks: Tensor,
        *,
        cells: int,
        strength: float = 1.0,
        corrections: int = 0,
    ):
        """Guide K tiles towards the `cells` x `cells` means of blocks [K, 3, b, b] in [0, 1].

        decode: what makes the finished tile's picture, latents [K, C, h, w] -> [K, 3, H, W]; looks
        go through it.
        """
        self.linear, self.decode = linear, decode
        self.target = along_both(area_matrix(blocks.shape[-1], cells), blocks)
        self.cells, self.strength, self.corrections = cells, strength, corrections

    @torch.no_grad()
    def __call__(self, z: Tensor, x0: Tensor, step: Step) -> tuple[Tensor, Tensor]:
        """Move the low band of x0 towards the target; z stays."""
        x0 = self.pulled(x0, self.low_linear(x0), self.strength)
        looks = step.count <= FEW_STEPS or step.index == step.count - 1
        for _ in range(self.corrections if looks else 0):
            x0 = self.pulled(x0, self.low_decoded(x0), 1 - (1 - self.strength) ** LOOK)
        return z, x0

    def pulled(self, x0: Tensor, low: Tensor, strength: float) -> Tensor:
        """The nearest tile without that share of its error, if x0's band in RGB is `low`."""
        missing = strength * (self.target.to(x0) - low)
        return x0 + along_both(spread_matrix(self.cells, x0.shape[-1]), self.linear.lift(missing))

    def low_linear(self, x0: Tensor) -> Tensor:
        """Low band [K, 3, c, c] in RGB as the linear map sees it."""
        return self.linear(along_both(area_matrix(x0.shape[-1], self.cells), x0))

    def low_decoded(self, x0: Tensor) -> Tensor:
        """Low band [K, 3, c, c] in RGB of the decoded tile, as the eye will see it."""
        pixels = self.decode(x0).clamp(0, 1)
        return along_both(area_matrix(pixels.shape[-1], self.cells), pixels).to(x0)
