"""T2I-Adapter's colour condition (Mou et al. 2023), which the paper compares with (section 4.1).

Each tile gets the palette of its own block; nothing else ties it to the reference.
"""

import torch
from torch import Tensor

from ...models.base import BaseModel
from ...models.color_adapter import palette
from ..color import enlarge


@torch.no_grad()
def palette_features(base: BaseModel, blocks: Tensor, tile: int, scale: float) -> list[Tensor]:
    """What the adapter adds at each level of the UNet, times `scale`; blocks [K, 3, b, b]."""
    palettes = palette(enlarge(blocks, tile)).to(base.device, base.dtype)
    return [scale * features for features in base.color_adapter(palettes)]
