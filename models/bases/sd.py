"""Stable Diffusion 1.x and 2.x, and everything in their layout: one UNet, one CLIP text encoder."""

import importlib.util
import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from ...configs.errors import InputError
from ...configs.machine import ATTENTIONS
from ..attention import AttentionRecorder, cross_attention_blocks, install_layerwise_attention
from ..base import BaseModel, LoraPart
from ..conditioning import Reader, encode_prompts
from ..denoiser import Conditioning
from .parts import Parts

if TYPE_CHECKING:
    from ..edlora import Adapter

ATTENTION = ("to_q", "to_k", "to_v", "to_out.0")
EVERYTHING = (
    *ATTENTION, "proj_in", "proj_out", "ff.net.0.proj", "ff.net.2", "time_emb_proj",
    "conv_in", "conv_out", "conv1", "conv2", "conv_shortcut", "conv",  # the last one of samplers
)  # fmt: skip
TEXT_ATTENTION = ("q_proj", "k_proj", "v_proj", "out_proj")
UNET_TARGETS = {"attention": ATTENTION, "all": EVERYTHING}
TEXT_TARGETS = {"attention": TEXT_ATTENTION, "all": TEXT_ATTENTION}


# Latent consistency models were distilled at w = scale - 1 from 3 to 15; their cards draw at 8.
USUAL_GUIDANCE = 8.0


@dataclass
class StableDiffusion(BaseModel):
    """The UNet's cross-attention takes layer-wise text, and concept words join the embedding."""

    unet: nn.Module
    text_encoder: nn.Module
    tokenizer: Any = None
    attention: str = "sdpa"

    @cached_property
    def layers(self) -> int:
        """Blocks of cross-attention: 16 on Stable Diffusion 1.x and 2.x."""
        return len(cross_attention_blocks(self.unet))

    @property
    def latent_channels(self) -> int:
        """Channels of a latent."""
        return self.unet.config.in_channels

    @property
    def network_width(self) -> int:
        """Channels of the UNet's first level."""
        return self.unet.config.block_out_channels[0]

    @property
    def usual_guidance(self) -> float | None:
        """Of networks that were distilled with guidance inside."""
        return USUAL_GUIDANCE if self.unet.config.get("time_cond_proj_dim") else None

    @property
    def readers(self) -> tuple[Reader, ...]:
        """The one text encoder."""
        return (Reader(self.text_encoder, self.tokenizer),)

    def network(self, z: Tensor, timestep: int | Tensor, conditioning: Conditioning) -> Tensor:
        """The UNet's output for z [K, C, h, w], in z's data type."""
        return self.unet(
            z.to(self.dtype),
            timestep,
            encoder_hidden_states=self._cast(conditioning.text),
            timestep_cond=self._guidance(conditioning.guidance, len(z)),
            # The UNet empties the list.
            down_intrablock_additional_residuals=list(conditioning.residuals) or None,
            added_cond_kwargs=self._added(z, conditioning),
        ).sample.to(z.dtype)

    def _guidance(self, scale: float | None, count: int) -> Tensor | None:
        """What tells the UNet the scale of guidance, for `count` samples; None if it takes none."""
        width = self.unet.config.get("time_cond_proj_dim")
        if width is None or scale is None:
            return None
        embedded = guidance_embedding(scale, width).to(self.device, self.dtype)
        return embedded.expand(count, -1)

    def _added(self, z: Tensor, conditioning: Conditioning) -> dict[str, Tensor] | None:
        """What the UNet takes beside text."""
        return None

    def _cast(self, text: Tensor | tuple[Tensor, ...]) -> Tensor | tuple[Tensor, ...]:
        if isinstance(text, Tensor):
            return text.to(self.dtype)
        return tuple(part.to(self.dtype) for part in text)

    def encode_text(
        self, prompts: Sequence[str], adapters: Sequence["Adapter"] = ()
    ) -> Conditioning:
        """Layer-wise text [B, L, 77, D] of prompts, see `encode_prompts`."""
        return Conditioning(encode_prompts(self, prompts, adapters))

    def lora_parts(self) -> tuple[LoraPart, ...]:
        """UNet and text encoder; of the latter only attention learns (Mix-of-Show, 3.1)."""
        return (
            LoraPart("unet", "unet", self.unet, UNET_TARGETS),
            LoraPart("text_encoder", "text_encoder.text_model", self.text_encoder, TEXT_TARGETS),
        )

    def set_attention(self, *, gradients: bool, recorder: AttentionRecorder | None = None) -> None:
        """Give every attention layer its processor; calling it again replaces them."""
        install_layerwise_attention(
            self.unet, recorder, attention=self.attention, gradients=gradients
        )

    def prepare_drawing(self, *, compile: bool) -> None:
        """Channels last, a sixth faster, also backwards; compiled on request."""
        for module in (self.unet, self.vae):
            module.to(memory_format=torch.channels_last)
        if compile:
            self.unet.compile()

    def enable_gradient_checkpointing(self) -> None:
        """Recompute the UNet's activations in backward passes."""
        self.unet.enable_gradient_checkpointing()


def guidance_embedding(scale: float, width: int) -> Tensor:
    """Sines and cosines [1, width] of 1000 w, w = scale - 1 (Luo et al. 2023, LCM, section 4.3)."""
    half = width // 2
    rates = torch.exp(torch.arange(half) * (-math.log(10_000) / (half - 1)))
    angles = 1000 * (scale - 1) * rates
    return torch.nn.functional.pad(torch.cat([angles.sin(), angles.cos()]), (0, width % 2))[None]


def load(parts: Parts, attention: str) -> StableDiffusion:
    """Load a model; raises InputError for parts of another kind."""
    return StableDiffusion(
        **parts.facts(),
        vae=parts.vae(),
        unet=parts.unet(),
        text_encoder=parts.text_encoder("CLIPTextModel", "text_encoder"),
        tokenizer=parts.tokenizer("tokenizer"),
        attention=attention,
    )


def check_attention(attention: str) -> None:
    """Raise InputError when an attention implementation is unknown or not installed."""
    if attention not in ATTENTIONS:
        raise InputError(f"Unknown attention {attention!r}; choose from {', '.join(ATTENTIONS)}.")
    if attention == "xformers" and importlib.util.find_spec("xformers") is None:
        raise InputError(
            'attention = "xformers" was asked for, but xformers is not installed. '
            'Type pip install xformers, or use attention = "sdpa".'
        )
