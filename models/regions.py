"""Several concepts in one picture: a denoiser that gives each its own region.

Source: the regional sampling of Mix-of-Show (Gu et al. 2023, section 3.3) and MultiDiffusion
(Bar-Tal et al. 2023, Eq. 3-5), with an adapter for each region: no adapters have to be fused. Every
region's denoiser predicts clean latents, and these are blended by soft masks.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from ..configs.regions import Box
from .denoiser import Conditioning, Denoises
from .prediction import NoiseLevel

SEAM = 0.125
"""Share of a picture's side over which one region passes into the next."""
NOTHING = 1e-6
"""What regions may lack of 1 by rounding."""


def soft_masks(boxes: Sequence[Box], height: int, width: int) -> Tensor:
    """Weights [R, h, w] of regions, 0 to 1; what they lack of 1 is left to the whole.

    A region falls off linearly over SEAM around each of its edges but those of the picture, so that
    neighbours with a common edge sum to 1 and no two regions without overlap to more.
    """
    down, across = _centres(height), _centres(width)
    masks = [
        _ramp(down, top, bottom)[:, None] * _ramp(across, left, right)[None, :]
        for left, top, right, bottom in boxes
    ]
    return torch.stack(masks)


def _centres(count: int) -> Tensor:
    return (torch.arange(count) + 0.5) / count


def _ramp(at: Tensor, start: float, end: float) -> Tensor:
    """1 between two shares of a side, 0 beyond, linear around those that are no ends of it."""
    rise = ((at - start) / SEAM + 0.5).clamp(0, 1) if start > 0 else torch.ones_like(at)
    fall = ((end - at) / SEAM + 0.5).clamp(0, 1) if end < 1 else torch.ones_like(at)
    return rise * fall


@dataclass(frozen=True)
class RegionalDenoiser:
    """Blends what several denoisers predict, each in its region.

    What a region should show are `parts` of the conditioning, in their order.
    """

    whole: Denoises
    """Draws the whole: alone at first, then only where regions leave something."""
    regions: tuple[Denoises, ...]
    masks: Tensor
    """[R, h, w], as `soft_masks` makes them."""
    start: float = 0.2
    """Share of the process in which the whole is drawn alone."""

    def output(self, z: Tensor, level: NoiseLevel, conditioning: Conditioning) -> Tensor:
        """The blended outputs: with z fixed, clean latents are an affine function of them."""

        def of(denoiser: Denoises, shown: Conditioning) -> Tensor:
            return denoiser.output(z, level, shown)

        return self._blend(of, conditioning)

    def clean(self, output: Tensor, z: Tensor, level: NoiseLevel) -> Tensor:
        """The clean latents that an output means."""
        return self.whole.clean(output, z, level)

    def carry(self, level: NoiseLevel) -> float | Tensor:
        """D x0 / d z with the network's output held fixed."""
        return self.whole.carry(level)

    def __call__(
        self, z: Tensor, level: NoiseLevel, conditioning: Conditioning, share: float = 0.5
    ) -> Tensor:
        """Clean latents x0 of z."""
        if share < self.start:
            return self.whole(z, level, conditioning, share)

        def of(denoiser: Denoises, shown: Conditioning) -> Tensor:
            return denoiser(z, level, shown, share)

        return self._blend(of, conditioning)

    def _blend(
        self, of: Callable[[Denoises, Conditioning], Tensor], conditioning: Conditioning
    ) -> Tensor:
        """What a denoiser makes of its conditioning, of each region in its place."""
        parts = [replace(part, residuals=conditioning.residuals) for part in conditioning.parts]
        found = zip(self.masks, self.regions, parts, strict=True)
        blended = sum(mask * of(denoiser, part) for mask, denoiser, part in found)
        rest = (1 - self.masks.sum(0)).clamp(min=0)
        if float(rest.max()) > NOTHING:
            blended = blended + rest * of(self.whole, conditioning)
        return blended
