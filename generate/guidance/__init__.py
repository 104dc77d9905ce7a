"""Guides: what pulls a tile's low frequencies towards its reference block. One guide per file."""

from .band import LowPass
from .base import Guide, Step
from .choice import band_cells, goes_through_unet, make_guide
from .exact import YCBCR, ExactGuide
from .filtered import FilteredDifferenceGuide
from .lpips import LpipsGuide
from .projection import ProjectionGuide
from .strength import with_strength
from .x0_gradient import X0GradientGuide

__all__ = [
    "YCBCR",
    "ExactGuide",
    "FilteredDifferenceGuide",
    "Guide",
    "LowPass",
    "LpipsGuide",
    "ProjectionGuide",
    "Step",
    "X0GradientGuide",
    "band_cells",
    "goes_through_unet",
    "make_guide",
    "with_strength",
]
