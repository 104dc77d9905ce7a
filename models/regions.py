"""Several concepts in one picture: a denoiser that gives each its own region.

Source: the regional sampling of Mix-of-Show (Gu et al. 2023, section 3.3) and MultiDiffusion
(Bar-Tal et al. 2023, Eq. 3-5), with an adapter for each region: no adapters have to be fused. Every
region's denoiser sees a window around its region, so that it places its subject there and not in
the middle of the picture, and predicts clean latents; these are blended by soft masks.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from ..configs.regions import SEAM, Box, window
from .denoiser import Conditioning, Denoises
from .prediction import NoiseLevel

Window = tuple[slice, slice]
"""Rows and columns."""
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


def latent_window(box: Box, height: int, width: int) -> Window:
    """Rows and columns of latents [h, w] that what draws a region sees."""
    left, top, right, bottom = window(box)
    rows = slice(math.floor(top * height), math.ceil(bottom * height))
    return rows, slice(math.floor(left * width), math.ceil(right * width))


def _centres(count: int) -> Tensor:
    return (torch.arange(count) + 0.5) / count


def _ramp(at: Tensor, start: float, end: float) -> Tensor:
    """1 between two shares of a side, 0 beyond, linear around those that are no ends of it."""
    rise = ((at - start) / SEAM + 0.5).clamp(0, 1) if start > 0 else torch.ones_like(at)
    fall = ((end - at) / SEAM + 0.5).clamp(0, 1) if end < 1 else torch.ones_like(at)
    return rise * fall


Predicts = Callable[[Denoises, Tensor, Conditioning], Tensor]
"""What is made of a denoiser, latents and conditioning: its output, or clean latents."""


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
    windows: tuple[Window, ...]
    """What each region's denoiser sees of the latents; its mask is 0 elsewhere."""
    start: float = 0.2
    """Share of the process in which the whole is drawn alone."""

    def output(self, z: Tensor, level: NoiseLevel, conditioning: Conditioning) -> Tensor:
        """The blended outputs: with z fixed, clean latents are an affine function of them."""

        def of(denoiser: Denoises, z: Tensor, shown: Conditioning) -> Tensor:
            return denoiser.output(z, level, shown)

        return self._blend(of, z, conditioning)

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

        def of(denoiser: Denoises, z: Tensor, shown: Conditioning) -> Tensor:
            return denoiser(z, level, shown, share)

        return self._blend(of, z, conditioning)

    def _blend(self, of: Predicts, z: Tensor, conditioning: Conditioning) -> Tensor:
        """What a denoiser makes of latents and conditioning, of each region in its place."""
        parts = zip(self.masks, self.windows, self.regions, conditioning.parts, strict=True)
        blended, rest = torch.zeros_like(z), 1 - self.masks.sum(0)
        for mask, seen, denoiser, part in parts:
            residuals = tuple(_seen(r, z, seen) for r in conditioning.residuals)
            found = of(denoiser, z[..., *seen], replace(part, residuals=residuals))
            placed = torch.zeros_like(z)
            placed[..., *seen] = mask[seen] * found
            blended = blended + placed
        if float(rest.max()) > NOTHING:
            blended = blended + rest.clamp(min=0) * of(self.whole, z, conditioning)
        return blended


def _seen(residual: Tensor, z: Tensor, window: Window) -> Tensor:
    """The part of a T2I-Adapter's feature map [K, C, h, w], of any level, that a window shows."""
    places = []
    for seen, small, large in zip(window, residual.shape[-2:], z.shape[-2:], strict=True):
        count = -(-(seen.stop - seen.start) * small // large)
        first = min(seen.start * small // large, small - count)
        places.append(slice(first, first + count))
    return residual[..., *places]
