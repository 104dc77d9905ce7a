"""Load a base model in Stable Diffusion's layout and state its facts in one place."""

import hashlib
import importlib.util
import inspect
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from ..configs.errors import InputError
from ..configs.base import BaseSettings
from ..configs.machine import ATTENTIONS
from ..configs.mosaic import SCHEDULERS
from .color_adapter import load_color_adapter
from .conditioning import ConceptEmbedding, cross_attention_names, install_layerwise_attention
from .device import resolve_device
from .files import is_present, locate, weights_file
from .linear_decoder import LinearDecoder, linear_decoder
from .tiny_decoder import TinyDecoder, load_tiny_decoder

if TYPE_CHECKING:
    from .edlora import Adapter

__all__ = ["BaseModel", "check_attention", "is_present", "load_base"]

SCHEDULER_CLASSES = dict(
    zip(
        SCHEDULERS,
        ("DDIMScheduler", "DPMSolverMultistepScheduler", "UniPCMultistepScheduler", "LCMScheduler"),
        strict=True,
    )
)


@dataclass
class BaseModel:
    """A base model's parts, frozen and in evaluation mode, and the facts that both stages need.

    The UNet's cross-attention takes layer-wise text, and the text encoder's token embedding is a
    `ConceptEmbedding`. `adapters` holds what is attached, by key (see `edlora.py`).
    """

    settings: BaseSettings
    folder: Path
    tokenizer: Any
    text_encoder: nn.Module
    unet: nn.Module
    vae: nn.Module
    scheduler_config: dict[str, Any]
    device: torch.device
    dtype: torch.dtype
    attention: str = "sdpa"
    adapters: dict[str, "Adapter"] = field(default_factory=dict)

    @cached_property
    def layers(self) -> int:
        """Number of cross-attention layers: 16 on Stable Diffusion 1.x and 2.x."""
        return len(cross_attention_names(self.unet))

    @property
    def latent_channels(self) -> int:
        """Channels of a latent."""
        return self.unet.config.in_channels

    @property
    def latent_factor(self) -> int:
        """Image pixels per latent pixel and axis, 8 on Stable Diffusion."""
        config = self.vae.config
        widths = config.get("block_out_channels") or config["encoder_block_out_channels"]
        return 2 ** (len(widths) - 1)

    @property
    def resolution(self) -> int:
        """Side of an image in pixels at which the model draws best."""
        return self.settings.resolution

    @property
    def prediction_type(self) -> str:
        """What the UNet predicts: "epsilon", "v_prediction" or "sample"."""
        return self.scheduler_config.get("prediction_type", "epsilon")

    @property
    def embedding_dim(self) -> int:
        """Width D of the text encoder."""
        return self.text_encoder.config.hidden_size

    @property
    def concepts(self) -> ConceptEmbedding:
        """The token embedding that concept words are added to."""
        return self.text_encoder.get_input_embeddings()

    @cached_property
    def linear_decoder(self) -> LinearDecoder:
        """The autoencoder's linear latent->RGB map, fitted at first use and kept on disk."""
        return linear_decoder(self)

    @cached_property
    def tiny_decoder(self) -> TinyDecoder:
        """The small decoder that the base's settings name; raises InputError without one."""
        return load_tiny_decoder(self.settings, self.device, self.dtype)

    @cached_property
    def color_adapter(self) -> Any:
        """The T2I-Adapter that the base's settings name; raises InputError without one."""
        return load_color_adapter(self.settings, self.device, self.dtype)

    def decoder(self, name: str) -> Callable[[Tensor], Tensor]:
        """One of the ways from scaled latents to colours: "full", "tiny" or "linear"."""
        if name == "full":
            return self.decode
        return self.tiny_decoder if name == "tiny" else self.linear_decoder

    def tile_decoder(self, *, proof: bool) -> Callable[[Tensor], Tensor]:
        """What makes pictures of tiles: in a proof the tiny decoder, where the base has one."""
        return self.decoder("tiny" if proof and self.settings.tiny_vae else "full")

    @cached_property
    def fingerprint(self) -> str:
        """What tells this model's weights from others', see `weights_fingerprint`."""
        return weights_fingerprint(self.folder, self.settings.variant)

    @torch.no_grad()
    def encode(self, images: Tensor) -> Tensor:
        """Images [K, 3, H, W] in [0, 1] -> scaled latents [K, C, h, w], fp32.

        Takes the mode of the posterior, so that the same image always gives the same latent.
        """
        posterior = self.vae.encode(images.to(self.device, self.dtype) * 2 - 1)
        latents = posterior.latents if "latents" in posterior else posterior.latent_dist.mode()
        return (latents.float() - self._shift) * self.vae.config.scaling_factor

    def decode(self, latents: Tensor) -> Tensor:
        """Scaled latents [K, C, h, w] -> images [K, 3, H, W], fp32, differentiable.

        Values lie nominally in [0, 1] and are not clamped, so that gradients do not vanish.
        """
        raw = latents / self.vae.config.scaling_factor + self._shift
        return self.vae.decode(raw.to(self.device, self.dtype)).sample.float() / 2 + 0.5

    @property
    def _shift(self) -> float:
        return self.vae.config.get("shift_factor") or 0.0

    def scheduler(self, name: str) -> Any:
        """A new diffusers scheduler ("ddim", "dpm++", "unipc" or "lcm") with the base's betas.

        With zero-terminal SNR, sampling must start at the very last timestep, where there is
        noise only (Lin et al. 2024), hence trailing spacing.
        """
        import diffusers

        if name not in SCHEDULER_CLASSES:
            raise InputError(f"Unknown scheduler {name!r}; choose from {', '.join(SCHEDULERS)}.")
        cls = getattr(diffusers, SCHEDULER_CLASSES[name])
        accepted = inspect.signature(cls.__init__).parameters
        config = {key: value for key, value in self.scheduler_config.items() if key in accepted}
        if "clip_sample" in accepted:
            config["clip_sample"] = False  # it is meant for pixel models; latents exceed [-1, 1]
        if config.get("rescale_betas_zero_snr"):
            config["timestep_spacing"] = "trailing"
        return cls.from_config(config)


def weights_fingerprint(folder: Path, variant: str = "") -> str:
    """16 hex digits that depend on the weights of UNet and text encoder, and on nothing else.

    Values are hashed in half precision, so that a model's fp16 and fp32 files agree.
    """
    digest = hashlib.sha256()
    for part in ("unet", "text_encoder"):
        for name, value in _weights(weights_file(folder, part, variant)):
            digest.update(f"{part}.{name} {tuple(value.shape)};".encode())
            digest.update(value.half().contiguous().numpy().tobytes())
    return digest.hexdigest()[:16]


def load_base(
    settings: BaseSettings,
    *,
    device: str = "auto",
    dtype: torch.dtype = torch.float32,
    attention: str = "sdpa",
    gradients: bool = True,
) -> BaseModel:
    """Load a base model from the package, a local folder, the hub's cache or the hub.

    `dtype` is that of all frozen weights; adapters attached later stay fp32. `attention` is
    "sdpa" or "xformers", and `gradients` says whether backward passes will run through the UNet,
    which decides its kernel on a CPU. Raises InputError when the model is not there and cannot be
    downloaded, when its folder lacks a part, or when device or xformers are missing.
    """
    check_attention(attention)
    target = resolve_device(device)
    folder = locate(settings)
    unet, text_encoder, vae, tokenizer = _load_parts(folder, settings, dtype, target)
    text_encoder.set_input_embeddings(ConceptEmbedding(text_encoder.get_input_embeddings()))
    for module in (unet, text_encoder, vae):
        module.to(target).requires_grad_(False).eval()
    install_layerwise_attention(unet, attention=attention, gradients=gradients)
    return BaseModel(
        settings=settings,
        folder=folder,
        tokenizer=tokenizer,
        text_encoder=text_encoder,
        unet=unet,
        vae=vae,
        scheduler_config=json.loads((folder / "scheduler/scheduler_config.json").read_text()),
        device=target,
        dtype=dtype,
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


def _weights(path: Path) -> Iterator[tuple[str, Tensor]]:
    """Named floating-point tensors of a safetensors file, sorted, one in memory at a time.

    Other buffers, and the prefix that transformers 5 dropped, depend on the library version.
    """
    from safetensors import safe_open

    with safe_open(path, framework="pt") as file:
        for name in sorted(file.keys(), key=lambda key: key.removeprefix("text_model.")):
            value = file.get_tensor(name)
            if value.is_floating_point():
                yield name.removeprefix("text_model."), value


def check_attention(attention: str) -> None:
    """Raise InputError when an attention implementation is unknown or not installed."""
    if attention not in ATTENTIONS:
        raise InputError(f"Unknown attention {attention!r}; choose from {', '.join(ATTENTIONS)}.")
    if attention == "xformers" and importlib.util.find_spec("xformers") is None:
        raise InputError(
            'attention = "xformers" was asked for, but xformers is not installed. '
            'Type pip install xformers, or use attention = "sdpa".'
        )
