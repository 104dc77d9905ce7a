"""Names of colours, so that a tile's prompt can ask for its block's."""

import torch
from torch import Tensor

from ..models.colorspaces import oklab

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


def color_names(blocks: Tensor) -> list[str]:
    """The nearest named colour of each block [K, 3, b, b] in [0, 1], by its mean."""
    names, values = list(COLORS), torch.tensor(list(COLORS.values())) / 255
    means = blocks.detach().float().cpu().mean(dim=(2, 3))
    distance = torch.cdist(oklab(means), oklab(values))
    return [names[index] for index in distance.argmin(dim=1).tolist()]
