"""Settings of `mosaic fuse`: how several adapters become one."""

from dataclasses import dataclass
from typing import ClassVar

from .fields import MAX_SEED, Group, setting

FUSION_METHODS = ("auto", "gradient", "orthogonal", "sum")


@dataclass(frozen=True)
class FusionSettings(Group):
    """How several adapters become one (`mosaic fuse`)."""

    section: ClassVar[str] = "fusion"

    method: str = setting("auto", choices=FUSION_METHODS)
    """"gradient" (fitted layer by layer), "orthogonal" (a sum, of adapters that were trained for
    it), "sum" (of any), or "auto": "orthogonal" where all are, else "gradient"."""
    ridge: float = setting(0.01, at_least=1e-6, at_most=100)
    """What holds a fitted layer to the base, in units of its mean squared input."""
    steps: int = setting(8, at_least=1, at_most=1000)
    """Denoising steps of the pictures whose activations are fitted to."""
    pictures: int = setting(2, at_least=1, at_most=1000)
    """Pictures drawn for each prompt of a concept."""
    seed: int = setting(0, at_least=0, at_most=MAX_SEED)
    """Seed of these pictures."""
