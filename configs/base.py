"""Settings of a base model: where it is, and what cannot be read off its files."""

from dataclasses import dataclass
from typing import ClassVar

from .errors import InputError
from .fields import Group, setting


@dataclass(frozen=True)
class BaseSettings(Group):
    """Facts about one base model that cannot be read off its files."""

    section: ClassVar[str] = "base"

    name: str = "starter"
    """Short name, also the name of the preset file."""
    source: str = "models/starter"
    """Hub id, local folder, or a folder inside the installed package."""
    variant: str = ""
    """Weight variant on the hub, such as "fp16"; empty for the plain files."""
    resolution: int = setting(128, at_least=8, at_most=4096)
    """Side of a tile in pixels at which the model draws best."""
    size_gb: float = setting(0.05, at_least=0, at_most=1e5)
    """What a first download fetches, in gigabytes."""
    license: str = ""
    """Licence of the weights, as their publisher names it."""
    license_note: str = ""
    """What a studio must know of the licence; empty where every studio may use the weights."""
    tiny_vae: str = ""
    """A small autoencoder for the same latents, for proofs: hub id or local folder."""
    color_adapter: str = ""
    """A T2I-Adapter for colours, for --method color-adapter: hub id or local folder."""
    vae: str = ""
    """An autoencoder for the same latents in place of the base's own, such as one that is made for
    fp16: hub id or local folder."""
    distilled_lora: str = ""
    """A LoRA that lets the base draw in few steps (LCM, Lightning, Hyper), fused into its UNet: hub
    id, hub id with a file's name behind it (owner/model/file.safetensors), or local file. Its own
    licence holds for what is drawn."""
    distilled_lora_scale: float = setting(1.0, above=0, at_most=10)
    """Strength of the distilled LoRA."""
    original_size: int | None = setting(None, at_least=64, at_most=65_536, none="auto")
    """What networks of SDXL's family are told of the original's side in pixels; small ones look
    coarse. "auto" is the picture's own, but no less than base.resolution."""

    def __post_init__(self) -> None:
        """Check values; raises InputError."""
        super().__post_init__()
        if self.resolution % 8:
            raise InputError(f"base.resolution must be a multiple of 8, not {self.resolution}.")
