"""Base models of no weights or random ones in the sizes of published models.

Without weights, on torch's meta device, a model knows shapes, devices and data types, and so what
memory it takes; with random ones it also takes the time.
"""

import json
import shutil
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import nn

from smalti.configs.errors import InputError
from smalti.configs.files import replacing

STARTER = Path(__file__).parents[1] / "models" / "starter"
PUBLISHED = Path(__file__).with_suffix(".toml")


@dataclass(frozen=True)
class Architecture:
    """Sizes as diffusers and transformers name them."""

    unet: dict[str, Any]
    """Of UNet2DConditionModel."""
    vae: dict[str, Any]
    """Of AutoencoderKL."""
    text_encoder: dict[str, Any]
    """Of CLIPTextConfig."""
    text_encoder_2: dict[str, Any] = field(default_factory=dict)
    """Of the CLIPTextConfig of SDXL's second one; empty where there is none."""
    scheduler: dict[str, Any] = field(default_factory=dict)
    """Of the scheduler that its class names; empty takes the starter's."""


def published() -> dict[str, Architecture]:
    """What `architectures.toml` holds; one that is like another says only what differs."""
    found: dict[str, Architecture] = {}
    for name, own in tomllib.loads(PUBLISHED.read_text(encoding="utf-8")).items():
        like: Mapping[str, Any] = vars(found[own.pop("like")]) if "like" in own else {}
        parts = like.keys() | own.keys()
        found[name] = Architecture(**{p: like.get(p, {}) | own.get(p, {}) for p in parts})
    return found


ARCHITECTURES = published()


def modules(sizes: Architecture, tokenizer: Any) -> dict[str, nn.Module]:
    """UNet, VAE and text encoder on the device that is the default."""
    from diffusers import AutoencoderKL, UNet2DConditionModel
    from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection

    tokens = {f"{kind}_token_id": getattr(tokenizer, f"{kind}_token_id")
              for kind in ("bos", "eos", "pad")}  # fmt: skip
    config = {"vocab_size": len(tokenizer), **sizes.text_encoder, **tokens}
    found = {
        "unet": UNet2DConditionModel(**sizes.unet),
        "vae": AutoencoderKL(**sizes.vae),
        "text_encoder": CLIPTextModel(CLIPTextConfig(**config)),
    }
    if second := sizes.text_encoder_2:
        config = CLIPTextConfig(**{**second, **tokens})
        found["text_encoder_2"] = CLIPTextModelWithProjection(config)
    return found


def random_base(name: str, root: Path) -> Path:
    """A folder in Stable Diffusion's layout with random weights in half precision, made once.

    The tokenizer is the starter's. Raises InputError for an unknown name.
    """
    if name not in ARCHITECTURES:
        raise InputError(f'No architecture "{name}"; known: {", ".join(ARCHITECTURES)}.')
    folder = root / name
    if not folder.is_dir():
        with replacing(folder) as temporary:
            _write(ARCHITECTURES[name], temporary)
    return folder


def starter_tokenizer() -> Any:
    """The starter's tokenizer, which stands for those of other bases."""
    from transformers import CLIPTokenizer

    return CLIPTokenizer.from_pretrained(STARTER / "tokenizer")


def _write(sizes: Architecture, folder: Path) -> None:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        parts = modules(sizes, starter_tokenizer())
    for part, module in parts.items():
        module.half().save_pretrained(folder / part)
    for part in ("tokenizer", "scheduler", *(["tokenizer_2"] * bool(sizes.text_encoder_2))):
        shutil.copytree(STARTER / part.removesuffix("_2"), folder / part)
    if sizes.scheduler:
        text = json.dumps(sizes.scheduler, indent=2)
        (folder / "scheduler/scheduler_config.json").write_text(text + "\n")
