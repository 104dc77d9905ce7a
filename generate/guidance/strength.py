"""How strongly to pull when nobody says: as little as keeps the reference readable from afar.

SSIM counts local contrast. A reference with much of it, a portrait in hard light, is recognised in
tiles that keep most of their own colours; in one of flat surfaces every subject shows as noise, and
must be pulled more.

Seen at 64 px, a mosaic m is a mixture of its reference r and of tiles t as they would be without a
guide, m = (1 - g) r + g t. In a window where r has the variance q and t, which knows nothing of r,
the variance T, the structural similarity (Wang et al. 2004, Eq. 13, with equal means) is expected
to be

    (2 (1 - g) q + c) / ((1 + (1 - g)^2) q + g^2 T + c)

Pulls of strength s leave about the share g = (1 - s)^p: the look at the last step counts for three,
and the network undoes most of the earlier ones. p and T were fitted on earlier weights of the
starter at CFG 6, and hold for today's at 5 as well (`benchmarks/pull.py`, docs/guidance.md).
"""

from dataclasses import replace
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import conv2d

from ...configs.guides import PullSettings
from ...configs.settings import Settings
from ...models.band import gaussian
from ...models.metrics import at_resolution

WEAKEST, STRONGEST = 0.17, 0.4  # below, tiles gain little more; above, subjects drown
STEP = 0.005  # finer than an eye can tell
RADIUS, SIGMA = 5, 1.5  # of SSIM's windows, px
CONTRAST = 0.03**2  # SSIM's constant c for values in [0, 1]


class Fit(NamedTuple):
    """The constants of the model above."""

    pulls: float
    """p, how many pulls in a row leave as much."""
    tile_variance: float
    """T, of values in [0, 1]."""


FITTED = Fit(pulls=3.68, tile_variance=0.0152)


def with_strength(settings: Settings, reference: Tensor) -> Settings:
    """Settings whose guide knows how much to pull towards a reference [3, H, W] in [0, 1]."""
    mosaic = settings.mosaic
    guide = mosaic.guide
    pulls = isinstance(guide, PullSettings) and guide.guidance and mosaic.method.guided
    if not pulls or guide.guidance_strength is not None:
        return settings
    strength = least_strength(reference, guide.target_ssim)
    guide = replace(guide, guidance_strength=strength)
    return replace(settings, mosaic=replace(mosaic, guide=guide))


def least_strength(reference: Tensor, target_ssim: float) -> float:
    """The weakest pull whose mosaic of a reference [3, H, W] in [0, 1] should reach an SSIM@64.

    Lies between WEAKEST and STRONGEST, whatever the target.
    """
    contrast = local_variance(at_resolution(reference))
    strength = WEAKEST
    while strength < STRONGEST and expected_ssim(contrast, strength) < target_ssim:
        strength += STEP
    return round(min(strength, STRONGEST), 3)


def expected_ssim(contrast: Tensor, strength: float, fit: Fit = FITTED) -> float:
    """SSIM@64 of a mosaic pulled by `strength` to a picture with local variances `contrast`."""
    share = (1 - strength) ** fit.pulls
    both = 2 * (1 - share) * contrast + CONTRAST
    each = (1 + (1 - share) ** 2) * contrast + share**2 * fit.tile_variance + CONTRAST
    return float((both / each).mean())


def local_variance(images: Tensor) -> Tensor:
    """Variance [K, 3, H - 10, W - 10] in SSIM's Gaussian windows, of images [K, 3, H, W]."""
    weight = gaussian(torch.arange(-RADIUS, RADIUS + 1), SIGMA)
    kernel = torch.outer(weight, weight).expand(3, 1, -1, -1).to(images)
    mean, square = (conv2d(x, kernel, groups=3) for x in (images, images.square()))
    return (square - mean.square()).clamp(min=0)
