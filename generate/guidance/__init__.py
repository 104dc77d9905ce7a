"""Guides: what pulls a tile's low frequencies towards its reference block. One guide per file."""

from .base import Guide, Step
from .exact import ExactGuide, LowPass

__all__ = ["ExactGuide", "Guide", "LowPass", "Step"]
