"""Settings that say how to compute, not what: a result does not depend on them but for precision.

The precision that was resolved joins the identity of what was made with it.
"""

from dataclasses import dataclass
from typing import ClassVar

from .fields import Group, setting

PRECISIONS = ("auto", "no", "fp16", "bf16")
ATTENTIONS = ("sdpa", "xformers")


@dataclass(frozen=True)
class MachineSettings(Group):
    """How tiles are computed."""

    section: ClassVar[str] = "mosaic.machine"

    mixed_precision: str = setting("auto", choices=PRECISIONS, identity=False)
    """"no", "fp16" or "bf16", or "auto": bf16 where the processor computes in it. A mosaic that
    goes on computes as it began."""
    attention: str = setting("sdpa", choices=ATTENTIONS, identity=False)
    """"sdpa" (torch), or "xformers" where it is installed."""
    compile: bool = setting(False, identity=False)
    """Compile the UNet; worth its first minutes on a GPU and many tiles."""
    batch_size: int | None = setting(None, above=0, at_most=65_536, none="auto", identity=False)
    """Tiles drawn at once; "auto" chooses from free memory and so that a batch takes a minute."""
