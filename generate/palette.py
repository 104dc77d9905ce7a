"""Names of colours, so that a tile's prompt can ask for its block's."""

import torch
from torch import Tensor

# sRGB values of the background colours that the starter's captions name.
COLORS = {
    "red": (215, 35, 35),
    "orange": (245, 140, 30),
    "yellow": (250, 220, 50),
    "green": (50, 165, 65),
    "teal": (20, 150, 145),
    "blue": (40, 85, 215),
    "purple": (125, 55, 180),
    "pink": (245, 130, 185),
    "brown": (125, 80, 45),
    "black": (12, 12, 14),
    "white": (255, 255, 255),
    "gray": (128, 128, 130),
    "light blue": (140, 200, 245),
    "dark green": (20, 75, 35),
    "dark blue": (15, 30, 95),
    "beige": (235, 220, 190),
}
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


def oklab(rgb: Tensor) -> Tensor:
    """Oklab [..., 3] of sRGB [..., 3] in [0, 1]; distances in it are about as large as seen."""
    linear = torch.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055).clamp(min=0) ** 2.4)
    return (linear @ _TO_CONES.T).pow(1 / 3) @ _TO_OKLAB.T


def color_names(blocks: Tensor) -> list[str]:
    """The nearest named colour of each block [K, 3, b, b] in [0, 1], by its mean."""
    names, values = list(COLORS), torch.tensor(list(COLORS.values())) / 255
    means = blocks.detach().float().cpu().mean(dim=(2, 3))
    distance = torch.cdist(oklab(means), oklab(values))
    return [names[index] for index in distance.argmin(dim=1).tolist()]
