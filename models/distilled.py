"""A distilled LoRA, which lets a base draw in few steps: read by diffusers, fused into the UNet."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..configs.errors import InputError
from .locate import distilled_lora

if TYPE_CHECKING:
    from torch import nn

    from ..configs.base import BaseSettings

ADAPTER = "distilled"


def fuse_distilled_lora(unet: "nn.Module", settings: "BaseSettings") -> None:
    """Add the LoRA that `base.distilled_lora` names to the UNet's weights; nothing without one.

    The file may name layers as diffusers, peft or kohya do. Raises InputError when it cannot be had
    or was made for another network.
    """
    if not settings.distilled_lora:
        return
    path = distilled_lora(settings)
    try:
        _load(unet, path)
    except (ValueError, RuntimeError, KeyError, OSError) as error:
        raise InputError(
            f"The distilled LoRA {path} does not fit base {settings.name!r} "
            f"({type(error).__name__}). Give one that was made for it with base.distilled_lora."
        ) from error
    unet.fuse_lora(settings.distilled_lora_scale, adapter_names=[ADAPTER])
    unet.unload_lora()


def _load(unet: Any, path: Path) -> None:
    """Put the LoRA beside the UNet's weights; raises what diffusers and peft do."""
    from diffusers.loaders import StableDiffusionLoraLoaderMixin as Loader

    state, alphas, metadata = Loader.lora_state_dict(
        path.parent, weight_name=path.name, unet_config=unet.config, return_lora_metadata=True
    )
    if any(not key.startswith("unet.") for key in state):
        raise ValueError("it changes more than the UNet")
    Loader.load_lora_into_unet(
        state, network_alphas=alphas, unet=unet, adapter_name=ADAPTER, metadata=metadata
    )
