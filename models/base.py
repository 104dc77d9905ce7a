"""What both stages know of a base model: its parts behind one interface, and its facts.

A family of models is one file in `bases/`; nothing outside `models/` asks which one it is.
"""

import hashlib
import inspect
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import torch
from torch import Tensor, nn

from ..configs.base import BaseSettings
from ..configs.errors import InputError
from ..configs.files import file_hash
from ..configs.mosaic import SCHEDULERS
from .autoencoder import in_range
from .color_adapter import load_color_adapter
from .denoiser import Conditioning, Denoiser
from .linear_decoder import LinearDecoder, linear_decoder
from .locate import distilled_lora, network_parts, vae_weights, weights_file
from .merging import without_adapters
from .prediction import prediction_of
from .tiny_decoder import TinyDecoder, load_tiny_decoder

if TYPE_CHECKING:
    from .attention import AttentionRecorder
    from .conditioning import ConceptEmbedding, Reader
    from .edlora import Adapter

SCHEDULER_CLASSES = dict(
    zip(
        SCHEDULERS,
        ("DDIMScheduler", "DPMSolverMultistepScheduler", "UniPCMultistepScheduler", "LCMScheduler"),
        strict=True,
    )
)


@dataclass(frozen=True)
class LoraPart:
    """A part of a base model that adapters change."""

    name: str
    """What diffusers calls it: "unet", "text_encoder"."""
    prefix: str
    """What its tensors' names begin with in an adapter's file."""
    module: nn.Module
    targets: dict[str, tuple[str, ...]]
    """Names of its layers that carry LoRA, for each choice of `train.targets`."""


@dataclass
class BaseModel(ABC):
    """A base model, frozen and in evaluation mode.

    Latents are scaled as its network expects them. `adapters` holds what is attached, by key (see
    `edlora.py`).
    """

    family: ClassVar[str] = "sd"
    """Its table of names in other trainers' files (`exchange/names.py`)."""

    settings: BaseSettings
    folder: Path
    vae: nn.Module
    scheduler_config: dict[str, Any]
    device: torch.device
    dtype: torch.dtype
    adapters: dict[str, "Adapter"] = field(default_factory=dict, kw_only=True)
    own_weights: dict[Any, nn.Parameter] = field(default_factory=dict, kw_only=True)
    """Weights that stand aside while LoRA is merged into their copies, by layer."""
    exchanged: dict[tuple[nn.Module, str], nn.Parameter] = field(
        default_factory=dict, kw_only=True
    )
    """Weights that stand aside while an adapter's stand in their place, see `deltas.py`."""

    @property
    @abstractmethod
    def layers(self) -> int:
        """Texts that the network takes, one for each block of cross-attention."""

    @property
    @abstractmethod
    def latent_channels(self) -> int:
        """Channels of a latent."""

    @property
    @abstractmethod
    def network_width(self) -> int:
        """Channels of the denoising network at full resolution, for estimates of memory."""

    @property
    @abstractmethod
    def readers(self) -> tuple["Reader", ...]:
        """What reads prompts; a word's vector is as wide as all of them together."""

    @abstractmethod
    def network(self, z: Tensor, timestep: int | Tensor, conditioning: Conditioning) -> Tensor:
        """The denoising network's output for noisy latents z [K, C, h, w], in z's data type."""

    @abstractmethod
    def encode_text(
        self, prompts: Sequence[str], adapters: Sequence["Adapter"] = ()
    ) -> Conditioning:
        """What prompts condition the network with; words of `adapters` may stand in them."""

    @abstractmethod
    def lora_parts(self) -> tuple[LoraPart, ...]:
        """The parts that adapters change."""

    @abstractmethod
    def set_attention(
        self, *, gradients: bool, recorder: "AttentionRecorder | None" = None
    ) -> None:
        """Choose the attention kernel: whether backward passes will run, and who sees the maps."""

    @abstractmethod
    def prepare_drawing(self, *, compile: bool) -> None:
        """Make drawing fast; compiling takes minutes at first."""

    @abstractmethod
    def enable_gradient_checkpointing(self) -> None:
        """Recompute activations in backward passes: less memory, slower."""

    def framed(self, shown: Conditioning, frames: Tensor | None) -> Conditioning:
        """The same, told what each picture shows of its original, where the network asks for it.

        frames: [B, 4], the original's height and width, and in pixels of the original as it was
        resized the top and left of what is shown; None where that is not known.
        """
        return shown

    @property
    def concepts(self) -> "ConceptEmbedding":
        """The token embedding of the first reader, whose ids stand for words in all of them."""
        return self.readers[0].concepts

    @property
    def word_width(self) -> int:
        """Values of a concept word's vector."""
        return sum(reader.concepts.embedding_dim for reader in self.readers)

    @property
    def family_facts(self) -> dict[str, Any]:
        """What an adapter's file says of its base's family, where it is not Stable Diffusion's."""
        return {}

    @property
    def latent_factor(self) -> int:
        """Image pixels per latent pixel and axis, 8 on Stable Diffusion."""
        return 2 ** (len(self._widths) - 1)

    @property
    def decoder_width(self) -> int:
        """Channels of the decoder at full resolution, for estimates of memory."""
        config = self.vae.config
        return (config.get("block_out_channels") or config["decoder_block_out_channels"])[0]

    @property
    def _widths(self) -> Sequence[int]:
        config = self.vae.config
        return config.get("block_out_channels") or config["encoder_block_out_channels"]

    @property
    def resolution(self) -> int:
        """Side of an image in pixels at which the model draws best."""
        return self.settings.resolution

    @property
    def usual_guidance(self) -> float | None:
        """Scale of guidance where nobody says one, None if the network does not take it."""
        return None

    @cached_property
    def denoiser(self) -> Denoiser:
        """Noisy latents to clean ones."""
        kind = self.scheduler_config.get("prediction_type", "epsilon")
        alphas = self.scheduler("ddim").alphas_cumprod.float().cpu()
        return Denoiser(self.network, prediction_of(kind), alphas, self.usual_guidance)

    @cached_property
    def bare_denoiser(self) -> Denoiser:
        """The denoiser as it is without any adapter, also while adapters are active."""

        def network(z: Tensor, timestep: int | Tensor, conditioning: Conditioning) -> Tensor:
            with without_adapters(self):
                return self.network(z, timestep, conditioning)

        return replace(self.denoiser, network=network)

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
        """What tells this model from others, see `base_fingerprint`."""
        return base_fingerprint(self.settings, self.folder, self.own_fingerprint)

    @cached_property
    def own_fingerprint(self) -> str:
        """What tells the weights in its folder from others', see `weights_fingerprint`."""
        return weights_fingerprint(self.folder, self.settings.variant)

    @cached_property
    def vae_fingerprint(self) -> str:
        """16 hex digits of the autoencoder's weights file."""
        return file_hash(vae_weights(self.settings, self.folder))[:16]

    def freeze(self) -> None:
        """Let nothing learn, attached adapters included."""
        for part in self.lora_parts():
            part.module.requires_grad_(False)

    @contextmanager
    def casts_left_to_autocast(self) -> Iterator[None]:
        """Spare every LoRA layer a cast of its input to fp32, which autocast takes back at once."""
        from peft.helpers import disable_input_dtype_casting

        with ExitStack() as stack:
            for part in self.lora_parts():
                stack.enter_context(disable_input_dtype_casting(part.module))
            yield

    @torch.no_grad()
    def encode(self, images: Tensor) -> Tensor:
        """Images [K, 3, H, W] in [0, 1] -> scaled latents [K, C, h, w], fp32.

        Takes the mode of the posterior, so that the same image always gives the same latent.
        """

        def latents(pictures: Tensor) -> Tensor:
            coded = self.vae.encode(pictures * 2 - 1)
            return coded.latents if "latents" in coded else coded.latent_dist.mode()

        raw = in_range(self.vae, latents, images.to(self.device))
        return (raw - self._shift) * self.vae.config.scaling_factor

    def decode(self, latents: Tensor) -> Tensor:
        """Scaled latents [K, C, h, w] -> images [K, 3, H, W], fp32, differentiable.

        Values lie nominally in [0, 1] and are not clamped, so that gradients do not vanish.
        """
        raw = (latents / self.vae.config.scaling_factor + self._shift).to(self.device)
        return in_range(self.vae, lambda z: self.vae.decode(z).sample, raw) / 2 + 0.5

    @property
    def _shift(self) -> float:
        return self.vae.config.get("shift_factor") or 0.0

    def scheduler(self, name: str) -> Any:
        """A new diffusers scheduler ("ddim", "dpm++", "unipc" or "lcm") with the base's betas.

        With zero-terminal SNR, sampling must start at the very last timestep, where there is
        noise only (Lin et al. 2024), hence trailing spacing; so were distilled LoRAs made.
        """
        import diffusers

        if name not in SCHEDULER_CLASSES:
            raise InputError(f"Unknown scheduler {name!r}; choose from {', '.join(SCHEDULERS)}.")
        cls = getattr(diffusers, SCHEDULER_CLASSES[name])
        accepted = inspect.signature(cls.__init__).parameters
        config = {key: value for key, value in self.scheduler_config.items() if key in accepted}
        if "clip_sample" in accepted:
            config["clip_sample"] = False  # it is meant for pixel models; latents exceed [-1, 1]
        if config.get("rescale_betas_zero_snr") or self.settings.distilled_lora:
            config["timestep_spacing"] = "trailing"
        return cls.from_config(config)


def base_fingerprint(settings: BaseSettings, folder: Path, own: str = "") -> str:
    """16 hex digits that tell a base from others: its weights, and what settings make of them.

    own: `weights_fingerprint` of the folder where it is known. It is the whole where settings
    neither fuse a LoRA, nor exchange the autoencoder, nor tell the network an original's size.
    """
    own = own or weights_fingerprint(folder, settings.variant)
    changes: list[Any] = [settings.original_size] if settings.original_size else []
    if settings.distilled_lora:
        changes += [file_hash(distilled_lora(settings)), settings.distilled_lora_scale]
    if settings.vae:
        changes.append(file_hash(vae_weights(settings, folder)))
    return hashlib.sha256(repr([own, *changes]).encode()).hexdigest()[:16] if changes else own


def weights_fingerprint(folder: Path, variant: str = "") -> str:
    """16 hex digits that depend on the weights of a model's network and text encoders alone.

    Values are hashed in half precision, so that a model's fp16 and fp32 files agree.
    """
    digest = hashlib.sha256()
    for part in network_parts(folder):
        for name, value in _weights(weights_file(folder, part, variant)):
            digest.update(f"{part}.{name} {tuple(value.shape)};".encode())
            digest.update(value.half().contiguous().numpy().tobytes())
    return digest.hexdigest()[:16]


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
