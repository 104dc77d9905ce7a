"""The paper's rejected guide: perceptual distance in place of low-frequency error (its Table 4)."""

import torch
from torch import Tensor

from ...models.base import BaseModel
from ...models.lpips import Lpips
from ..blocks import enlarge
from .exact import ExactGuide


class LpipsGuide(ExactGuide):
    """Descend LPIPS between decoded tile and block on z_t, through decoder and UNet.

    Weight and decay count as in `ExactGuide`. LPIPS compares at the tile's own size, so that it
    asks for the block's edges and textures too, and leaves the tile little room for a subject.
    """

    def __init__(
        self, base: BaseModel, blocks: Tensor, tile: int, *, weight: float, decay: float,
        lpips: Lpips,
    ):  # fmt: skip
        """Guide K tiles of `tile` px, at least 64, towards blocks [K, 3, b, b] in [0, 1]."""
        self.base, self.weight, self.decay = base, weight, decay
        self.lpips = lpips
        self.target = enlarge(blocks, tile).to(base.device, torch.float32)

    def error(self, x0: Tensor) -> Tensor:
        """LPIPS of each tile times its latent area: [K]."""
        return self.lpips(self.base.decode(x0), self.target) * (x0.shape[2] * x0.shape[3])
