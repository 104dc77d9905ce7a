"""Tone mapping: any picture of the pool, with its block's mean and deviation."""

from typing import TYPE_CHECKING

from ...configs.mosaic import MosaicSettings
from .pool import PoolMethod

if TYPE_CHECKING:
    from torch import Tensor


class Tone(PoolMethod):
    """The paper's non-generative baseline of tone mapping (section 4.1)."""

    def adjust(self, images: "Tensor", blocks: "Tensor", mosaic: MosaicSettings) -> "Tensor":
        """Each channel takes its block's mean and deviation."""
        from .pixels import map_tone, moved

        return moved(images, map_tone(images, blocks), 1.0)
