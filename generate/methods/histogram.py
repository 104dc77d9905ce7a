"""Histogram matching: any picture of the pool, with its block's histogram."""

from typing import TYPE_CHECKING

from ...configs.mosaic import MosaicSettings
from .pool import PoolMethod

if TYPE_CHECKING:
    from torch import Tensor


class Histogram(PoolMethod):
    """The paper's non-generative baseline of histogram matching (section 4.1)."""

    def adjust(self, images: "Tensor", blocks: "Tensor", mosaic: MosaicSettings) -> "Tensor":
        """Each channel takes its block's histogram."""
        from .pixels import match_histograms

        return match_histograms(images, blocks)
