"""Base models of random weights in the sizes of known ones, to measure time and memory with."""

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from smalti.configs.errors import InputError
from smalti.configs.files import replacing

STARTER = Path(__file__).parents[1] / "models" / "starter"


@dataclass(frozen=True)
class Architecture:
    """Sizes as diffusers and transformers name them."""

    unet: dict[str, Any]
    """Of UNet2DConditionModel."""
    vae: dict[str, Any]
    """Of AutoencoderKL."""
    text_encoder: dict[str, Any]
    """Of CLIPTextConfig."""


ARCHITECTURES = {
    "sd21": Architecture(
        unet={
            "sample_size": 96,
            "block_out_channels": (320, 640, 1280, 1280),
            "cross_attention_dim": 1024,
            "attention_head_dim": (5, 10, 20, 20),
            "use_linear_projection": True,
        },
        vae={
            "block_out_channels": (128, 256, 512, 512),
            "down_block_types": ("DownEncoderBlock2D",) * 4,
            "up_block_types": ("UpDecoderBlock2D",) * 4,
            "layers_per_block": 2,
            "latent_channels": 4,
            "sample_size": 768,
        },
        text_encoder={
            "hidden_size": 1024,
            "intermediate_size": 4096,
            "num_hidden_layers": 23,
            "num_attention_heads": 16,
        },
    ),
}


def random_base(name: str, root: Path) -> Path:
    """A folder in Stable Diffusion's layout with random weights in half precision, made once.

    Tokenizer and scheduler are the starter's: v-prediction, as Stable Diffusion 2.1's. Raises
    InputError for an unknown name.
    """
    if name not in ARCHITECTURES:
        raise InputError(f'No architecture "{name}"; known: {", ".join(ARCHITECTURES)}.')
    folder = root / name
    if not folder.is_dir():
        with replacing(folder) as temporary:
            _write(ARCHITECTURES[name], temporary)
    return folder


def _write(sizes: Architecture, folder: Path) -> None:
    from diffusers import AutoencoderKL, UNet2DConditionModel
    from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

    tokenizer = CLIPTokenizer.from_pretrained(STARTER / "tokenizer")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        config = CLIPTextConfig(
            vocab_size=len(tokenizer),
            bos_token_id=tokenizer.bos_token_id,
            eos_token_id=tokenizer.eos_token_id,
            pad_token_id=tokenizer.pad_token_id,
            **sizes.text_encoder,
        )
        parts = {
            "unet": UNet2DConditionModel(**sizes.unet),
            "vae": AutoencoderKL(**sizes.vae),
            "text_encoder": CLIPTextModel(config),
        }
    for part, module in parts.items():
        module.half().save_pretrained(folder / part)
    for part in ("tokenizer", "scheduler"):
        shutil.copytree(STARTER / part, folder / part)
