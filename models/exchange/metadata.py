"""What exported files say of themselves: kohya's `ss_*` and Stability's `modelspec.*` keys.

Sources: sd-scripts' trainers and `sai_model_spec.py`; Stability's ModelSpec 1.0.1. All values are
texts, as safetensors has it.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ...configs.base import BaseSettings
from ...configs.files import read_json
from ..locate import is_present, local_folder, locate
from .own import OwnAdapter

SPEC = "1.0.1"
LORA, EMBEDDING = "lora", "textual-inversion"
WIDTH_V1, WIDTH_V2, WIDTH_XL = 768, 1024, 2048  # of the text that cross-attention reads
LARGE = 768  # pixels; SD 2.x of this resolution predicts v
GENERATIVE_MODELS = "https://github.com/Stability-AI/generative-models"  # of embeddings


@dataclass(frozen=True)
class BaseFacts:
    """What other programs ask about the base of an adapter."""

    name: str
    source: str
    resolution: int
    width: int
    """Of the text that cross-attention reads."""
    predicts_v: bool

    @property
    def is_v2(self) -> bool:
        """Whether the base is of Stable Diffusion 2.x, as far as its width tells."""
        return self.width == WIDTH_V2

    @property
    def architecture(self) -> str:
        """ModelSpec's name of the base; a base of no known kind goes by its own."""
        if self.is_v2:
            return "stable-diffusion-v2-768-v" if self.predicts_v else "stable-diffusion-v2-512"
        known = {WIDTH_V1: "stable-diffusion-v1", WIDTH_XL: "stable-diffusion-xl-v1-base"}
        return known.get(self.width, f"smalti-{self.name}")

    @property
    def version(self) -> str:
        """Kohya's name of it."""
        if self.is_v2:
            return "sd_v2_v" if self.predicts_v else "sd_v2"
        known = {WIDTH_V1: "sd_v1", WIDTH_XL: "sdxl_base_v1-0"}
        return known.get(self.width, f"smalti_{self.name}")


def base_facts(own: OwnAdapter, settings: BaseSettings) -> BaseFacts:
    """Facts of an adapter's base; what it predicts is read off its folder where it is here."""
    width = _text_width(own)
    config = None
    if is_present(settings):
        config = read_json(locate(settings) / "scheduler" / "scheduler_config.json")
    kind = (config or {}).get("prediction_type")
    guessed = width == WIDTH_V2 and settings.resolution >= LARGE
    predicts_v = kind == "v_prediction" if kind else guessed
    # Where a folder lies on somebody's machine is nobody else's business.
    source = Path(settings.source).name if local_folder(settings.source) else settings.source
    return BaseFacts(settings.name, source, settings.resolution, width, predicts_v)


def _text_width(own: OwnAdapter) -> int:
    """Width of the text, by the words, else by what keys of cross-attention are made of; 0 else."""
    if len(own.words):
        return own.words.shape[-1]
    keys = (layer for name, layer in own.layers.items() if name.endswith("attn2.to_k"))
    return next((layer.down.shape[1] for layer in keys), 0)


def modelspec(own: OwnAdapter, base: BaseFacts, kind: str, hint: str) -> dict[str, str]:
    """ModelSpec's keys but for the hash; kind: LORA or EMBEDDING, hint: how it is used."""
    made = datetime.fromtimestamp(int(own.path.stat().st_mtime), UTC)
    facts = {
        "sai_model_spec": SPEC,
        "architecture": f"{base.architecture}/{kind}",
        "implementation": "diffusers" if kind == LORA else GENERATIVE_MODELS,
        "title": own.name,
        "resolution": f"{base.resolution}x{base.resolution}",
        "date": made.isoformat(timespec="seconds").removesuffix("+00:00"),
        "trigger_phrase": own.name,
        "usage_hint": hint,
        "prediction_type": "v" if base.predicts_v else "epsilon",
    }
    return {f"modelspec.{key}": value for key, value in facts.items()}


def kohya_facts(own: OwnAdapter, base: BaseFacts) -> dict[str, str]:
    """The `ss_*` keys of a LoRA."""
    size = base.resolution
    facts = {
        "v2": base.is_v2,
        "base_model_version": base.version,
        "sd_model_name": base.source,
        "network_module": "networks.lora",
        "resolution": f"({size}, {size})",
        "output_name": own.name,
        "training_comment": "made by smalti",
        **_network(own),
        **_training(own),
    }
    return {f"ss_{key}": _text(value) for key, value in facts.items() if value is not None}


def _network(own: OwnAdapter) -> dict[str, Any]:
    """Rank and alpha, and those of convolutions where there are any; kohya keeps them apart."""
    linear = [layer for layer in own.layers.values() if layer.down.ndim == 2]
    wide = [v for v in own.layers.values() if v.down.ndim == 4 and v.down.shape[-1] > 1]
    first = (linear or list(own.layers.values()))[0]
    args = {"conv_dim": str(wide[0].rank), "conv_alpha": str(wide[0].alpha)} if wide else {}
    return {"network_dim": first.rank, "network_alpha": first.alpha, "network_args": args}


def _training(own: OwnAdapter) -> dict[str, Any]:
    training = own.metadata.get("training") or {}
    images = own.metadata.get("images") or 1
    return {
        "num_train_images": own.metadata.get("images"),
        "steps": own.metadata.get("steps"),
        "max_train_steps": training.get("steps"),
        "tag_frequency": {f"{images}_{own.name}": {own.name: images}},
        "learning_rate": training.get("learning_rate_unet"),
        "unet_lr": training.get("learning_rate_unet"),
        "text_encoder_lr": training.get("learning_rate_text_encoder"),
        "total_batch_size": training.get("batch_size"),
        "gradient_accumulation_steps": training.get("gradient_accumulation"),
        "gradient_checkpointing": training.get("gradient_checkpointing"),
        "max_grad_norm": training.get("gradient_clip"),
        "optimizer": training.get("optimizer"),
        "lr_scheduler": "linear",
        "mixed_precision": training.get("mixed_precision"),
        "noise_offset": training.get("noise_offset"),
        "min_snr_gamma": training.get("min_snr_gamma"),
        "seed": training.get("seed"),
    }


def _text(value: Any) -> str:
    return json.dumps(value) if isinstance(value, dict | list) else str(value)


def hash_of(data: bytes) -> str:
    """SHA-256 of a safetensors file's tensors, all that follows its header, in hexadecimal."""
    length = int.from_bytes(data[:8], "little")
    return hashlib.sha256(data[8 + length :]).hexdigest()


def hash_facts(data: bytes, metadata: Mapping[str, str]) -> dict[str, str]:
    """The keys that hold the hash, in the families of keys that a file has."""
    digest, facts = hash_of(data), {}
    if any(key.startswith("modelspec.") for key in metadata):
        facts["modelspec.hash_sha256"] = f"0x{digest}"
    if any(key.startswith("ss_") for key in metadata):
        facts["sshs_model_hash"] = digest
    return facts
