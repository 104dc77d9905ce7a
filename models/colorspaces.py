"""Colour spaces in which distances are about as large as seen: Oklab and CIELAB."""

import torch
from torch import Tensor

# Linear sRGB -> cone responses -> Oklab (Ottosson 2020).
_TO_CONES = torch.tensor(
    [
        [0.4122214708, 0.5363325363, 0.0514459929],
        [0.2119034982, 0.6806995451, 0.1073969566],
        [0.0883024619, 0.2817188376, 0.6299787005],
    ]
)
_TO_OKLAB = torch.tensor(
    [
        [0.2104542553, 0.7936177850, -0.0040720468],
        [1.9779984951, -2.4285922050, 0.4505937099],
        [0.0259040371, 0.7827717662, -0.8086757660],
    ]
)
# Linear sRGB -> XYZ (IEC 61966-2-1) with its white, D65, scaled to 1.
_TO_XYZ = torch.tensor(
    [
        [0.412453, 0.357580, 0.180423],
        [0.212671, 0.715160, 0.072169],
        [0.019334, 0.119193, 0.950227],
    ]
)
_WHITE = torch.tensor([0.95047, 1.0, 1.08883])


def linear_light(rgb: Tensor) -> Tensor:
    """Linear sRGB of sRGB in [0, 1] (IEC 61966-2-1)."""
    return torch.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055).clamp(min=0) ** 2.4)


def oklab(rgb: Tensor) -> Tensor:
    """Oklab [..., 3] of sRGB [..., 3] in [0, 1]; distances in it are about as large as seen."""
    return (linear_light(rgb) @ _TO_CONES.T).pow(1 / 3) @ _TO_OKLAB.T


def cielab(rgb: Tensor) -> Tensor:
    """CIELAB [..., 3] of sRGB [..., 3] in [0, 1]; L from 0 to 100, D65 (CIE 15:2004)."""
    xyz = linear_light(rgb) @ _TO_XYZ.T.to(rgb) / _WHITE.to(rgb)
    knee = 6 / 29
    bent = torch.where(xyz > knee**3, xyz.pow(1 / 3), xyz / (3 * knee**2) + 4 / 29)
    x, y, z = bent.unbind(-1)
    return torch.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], dim=-1)
