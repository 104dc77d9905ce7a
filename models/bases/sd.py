"""Stable Diffusion 1.x and 2.x, and everything in their layout: one UNet, one CLIP text encoder."""

import importlib.util
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from ...configs.base import BaseSettings
from ...configs.errors import InputError
from ...configs.machine import ATTENTIONS
from ..attention import AttentionRecorder, cross_attention_names, install_layerwise_attention
from ..autoencoder import safe_dtype
from ..base import BaseModel, LoraPart
from ..conditioning import ConceptEmbedding, encode_prompts
from ..denoiser import Conditioning
from ..locate import weights_file

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
        """Cross-attention layers: 16 on Stable Diffusion 1.x and 2.x."""
        return len(cross_attention_names(self.unet))

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
    def concepts(self) -> ConceptEmbedding:
        """The token embedding that concept words are added to."""
        return self.text_encoder.get_input_embeddings()

    def network(self, z: Tensor, timestep: int | Tensor, conditioning: Conditioning) -> Tensor:
        """The UNet's output for z [K, C, h, w], in z's data type."""
        return self.unet(
            z.to(self.dtype),
            timestep,
            encoder_hidden_states=self._cast(conditioning.text),
            timestep_cond=self._guidance(conditioning.guidance, len(z)),
            # The UNet empties the list.
            down_intrablock_additional_residuals=list(conditioning.residuals) or None,
        ).sample.to(z.dtype)

    def _guidance(self, scale: float | None, count: int) -> Tensor | None:
        """What tells the UNet the scale of guidance, for `count` samples; None if it takes none."""
        width = self.unet.config.get("time_cond_proj_dim")
        if width is None or scale is None:
            return None
        embedded = guidance_embedding(scale, width).to(self.device, self.dtype)
        return embedded.expand(count, -1)

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


def load(
    settings: BaseSettings, folder: Path, device: torch.device, dtype: torch.dtype, attention: str
) -> StableDiffusion:
    """Load the model in `folder`; raises InputError for parts of another kind."""
    check_attention(attention)
    unet, text_encoder, vae, tokenizer = _load_parts(folder, settings, dtype, device)
    text_encoder.set_input_embeddings(ConceptEmbedding(text_encoder.get_input_embeddings()))
    vae.to(safe_dtype(vae.config, dtype))
    for module in (unet, text_encoder, vae):
        module.to(device).requires_grad_(False).eval()
    return StableDiffusion(
        settings=settings,
        folder=folder,
        vae=vae,
        scheduler_config=json.loads((folder / "scheduler/scheduler_config.json").read_text()),
        device=device,
        dtype=dtype,
        unet=unet,
        text_encoder=text_encoder,
        tokenizer=tokenizer,
        attention=attention,
    )


def _load_parts(
    folder: Path, settings: BaseSettings, dtype: torch.dtype, device: torch.device
) -> tuple[Any, ...]:
    """UNet, text encoder, VAE and tokenizer from a folder in Stable Diffusion's layout."""
    import diffusers
    import transformers

    for library in (diffusers, transformers):
        library.utils.logging.disable_progress_bar()
        library.utils.logging.set_verbosity_error()  # e.g. AutoencoderTiny's own config keys

    def load(cls: Any, part: str, **options: Any) -> Any:
        name = weights_file(folder, part, settings.variant).name
        variant = name.split(".")[1] if name.count(".") == 2 else None
        return cls.from_pretrained(folder / part, variant=variant, use_safetensors=True, **options)

    vae_class = json.loads((folder / "vae/config.json").read_text())["_class_name"]
    if vae_class not in ("AutoencoderKL", "AutoencoderTiny"):
        raise InputError(
            f"The base model in {folder} has a {vae_class}; smalti reads AutoencoderKL and "
            "AutoencoderTiny."
        )
    unet = load(diffusers.UNet2DConditionModel, "unet", torch_dtype=dtype)
    # As in the UNet: torch's fused attention is slow backwards on a CPU.
    kernel = "eager" if device.type == "cpu" else "sdpa"
    text_encoder = load(
        transformers.CLIPTextModel, "text_encoder", dtype=dtype, attn_implementation=kernel
    )
    vae = load(getattr(diffusers, vae_class), "vae", torch_dtype=dtype)
    return unet, text_encoder, vae, transformers.CLIPTokenizer.from_pretrained(folder / "tokenizer")


def check_attention(attention: str) -> None:
    """Raise InputError when an attention implementation is unknown or not installed."""
    if attention not in ATTENTIONS:
        raise InputError(f"Unknown attention {attention!r}; choose from {', '.join(ATTENTIONS)}.")
    if attention == "xformers" and importlib.util.find_spec("xformers") is None:
        raise InputError(
            'attention = "xformers" was asked for, but xformers is not installed. '
            'Type pip install xformers, or use attention = "sdpa".'
        )
