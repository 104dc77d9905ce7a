"""SDXL's family: SDXL 1.0 and what was distilled from it, SSD-1B and Segmind Vega.

Source: Podell et al. 2023, "SDXL: Improving Latent Diffusion Models for High-Resolution Image
Synthesis". Two text encoders are read at their penultimate layer, side by side; the network is also
told the second one's pooled text and each picture's size and crop (section 2.2).
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar

import torch
from torch import Tensor, nn

from ...configs.files import read_json
from ..base import LoraPart
from ..conditioning import Reader, encoded, prompt_ids
from ..denoiser import Conditioning
from .parts import Parts
from .sd import TEXT_TARGETS, StableDiffusion

if TYPE_CHECKING:
    from ..edlora import Adapter

PENULTIMATE = -2


@dataclass
class StableDiffusionXL(StableDiffusion):
    """Stable Diffusion with a second text encoder, pooled text and time ids."""

    family: ClassVar[str] = "sdxl"

    text_encoder_2: nn.Module | None = None
    tokenizer_2: Any = None

    @cached_property
    def readers(self) -> tuple[Reader, ...]:
        """CLIP ViT-L's and OpenCLIP ViT-bigG's text encoders."""
        first = Reader(self.text_encoder, self.tokenizer)
        return (first, Reader(self.text_encoder_2, self.tokenizer_2))

    @property
    def family_facts(self) -> dict[str, Any]:
        """Its name, and how wide the two parts of a word's vector are."""
        widths = [reader.concepts.embedding_dim for reader in self.readers]
        return {"family": self.family, "widths": widths}

    def encode_text(
        self, prompts: Sequence[str], adapters: Sequence["Adapter"] = ()
    ) -> Conditioning:
        """Texts of all blocks [B, L, 77, D], and the pooled text [B, P] that they share.

        Where blocks read different words, the pooled text is the mean over them. An empty prompt is
        all zeros where the model learned it so.
        """
        texts, pooled = [], torch.empty(0)
        for reader in self.readers:
            ids = prompt_ids(self, prompts, adapters, reader)
            text, *pools = encoded(ids, self.device, lambda rows, r=reader: _read(r, rows))
            texts.append(text)
            pooled = pools[0].mean(dim=1) if pools else pooled
        said = torch.tensor([bool(prompt) or not self.zero_prompts for prompt in prompts])
        said = said.to(pooled)[:, None]
        return Conditioning(torch.cat(texts, dim=-1) * said[..., None, None], pooled=pooled * said)

    @cached_property
    def zero_prompts(self) -> bool:
        """Whether an empty prompt is zeros, as diffusers' pipelines take it if nobody says."""
        facts = read_json(self.folder / "model_index.json") or {}
        return facts.get("force_zeros_for_empty_prompt", True)

    def framed(self, shown: Conditioning, frames: Tensor | None) -> Conditioning:
        """The same with time ids [B, 6]: original's height and width, top, left, target size."""
        if frames is None:
            return shown
        target = torch.full_like(frames[:, :2], self.resolution)
        return replace(shown, time_ids=torch.cat([frames, target], dim=1))

    def _added(self, z: Tensor, conditioning: Conditioning) -> dict[str, Tensor]:
        """Pooled text, and time ids; without any, those of whole pictures of z's size."""
        if (times := conditioning.time_ids) is None:
            times = self._whole(z).expand(len(z), -1)
        # fp32: bf16 has no number between 1024 and 1032.
        pooled = conditioning.pooled.to(self.dtype)
        return {"text_embeds": pooled, "time_ids": times.to(z.device, torch.float32)}

    def _whole(self, z: Tensor) -> Tensor:
        """Time ids [1, 6] of uncropped pictures; small ones are said to be made from larger."""
        target = [self.latent_factor * side for side in z.shape[-2:]]
        told = self.settings.original_size
        original = [told or max(side, self.resolution) for side in target]
        return torch.tensor([[*original, 0, 0, *target]])

    def lora_parts(self) -> tuple[LoraPart, ...]:
        """UNet and both text encoders."""
        second = LoraPart("text_encoder_2", "text_encoder_2", self.text_encoder_2, TEXT_TARGETS)
        return (*super().lora_parts(), second)


def _read(reader: Reader, ids: Tensor) -> tuple[Tensor, ...]:
    """Hidden states [N, 77, D] of ids [N, 77], and the pooled text [N, P] of who projects it."""
    output = reader.encoder(ids, output_hidden_states=True)
    projection = getattr(reader.encoder, "text_projection", None)
    text = output.hidden_states[PENULTIMATE]
    if projection is None:
        return (text,)
    # Not the encoder's own choice: in SDXL's files it takes the largest id for the end, and ids of
    # concept words are larger.
    end = (ids == reader.tokenizer.eos_token_id).int().argmax(dim=1)
    rows = torch.arange(len(ids), device=ids.device)
    return text, projection(output.last_hidden_state[rows, end])


def load(parts: Parts, attention: str) -> StableDiffusionXL:
    """Load a model; raises InputError for parts of another kind."""
    first = parts.text_encoder("CLIPTextModel", "text_encoder")
    width = first.get_input_embeddings().embedding_dim
    return StableDiffusionXL(
        **parts.facts(),
        vae=parts.vae(),
        unet=parts.unet(),
        text_encoder=first,
        tokenizer=parts.tokenizer("tokenizer"),
        attention=attention,
        text_encoder_2=parts.text_encoder("CLIPTextModelWithProjection", "text_encoder_2", width),
        tokenizer_2=parts.tokenizer("tokenizer_2"),
    )
