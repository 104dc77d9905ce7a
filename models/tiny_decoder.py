"""The small decoder that a base model may have beside its own, for proofs and for gradients."""

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from ..configs.errors import InputError

if TYPE_CHECKING:
    from ..configs.base import BaseSettings


class TinyDecoder(nn.Module):
    """An AutoencoderTiny such as TAESD (Bohan 2023), a hundred times cheaper than SD's own."""

    def __init__(self, autoencoder: Any) -> None:
        """Wrap diffusers' AutoencoderTiny, which reads scaled latents."""
        super().__init__()
        self.autoencoder = autoencoder

    def forward(self, latents: Tensor) -> Tensor:
        """Scaled latents [K, C, h, w] -> images [K, 3, H, W], nominally in [0, 1], fp32."""
        tensor = next(self.autoencoder.parameters())
        pixels = self.autoencoder.decode(latents.to(tensor.device, tensor.dtype)).sample
        return pixels.float() / 2 + 0.5


def load_tiny_decoder(
    settings: "BaseSettings", device: torch.device, dtype: torch.dtype
) -> TinyDecoder:
    """Load `base.tiny_vae`, a folder or hub id; raises InputError when there is none."""
    from diffusers import AutoencoderTiny

    if not settings.tiny_vae:
        raise InputError(
            f"The base model {settings.name!r} has no tiny decoder; give one with "
            "--set base.tiny_vae=FOLDER, or take another decoder."
        )
    try:
        tiny = AutoencoderTiny.from_pretrained(settings.tiny_vae, torch_dtype=dtype)
    except OSError as error:
        raise InputError(
            f"No tiny decoder at {settings.tiny_vae!r}. Repeat the command with a network "
            "connection, or give a folder with --set base.tiny_vae=FOLDER."
        ) from error
    return TinyDecoder(tiny.to(device).requires_grad_(False).eval())
