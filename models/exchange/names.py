"""What layers are called in files of LoRA: one table for each family of base models.

smalti and diffusers write a layer's path behind the name of its part, with dots; kohya's trainer
writes a prefix and the path with underscores. The prefixes are literals: what a library calls a
module today ("text_model" is gone from transformers 5) is not what the files of others say.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from .sdxl_names import original_name


@dataclass(frozen=True)
class PartNames:
    """What the layers of one part of a base model are called."""

    own: str
    """Before a path in smalti's, diffusers' and peft's files."""
    kohya: str
    """Before a path in kohya's."""
    begins: tuple[str, ...]
    """How paths begin, where a file names no part: peft's own files hold one network only."""
    not_in_kohya: tuple[str, ...] = ()
    """Layers that kohya's format has no place for."""
    renamed: Callable[[str], str] = str
    """A path as kohya's files have it, where they go by the original code's."""


UNET = PartNames(
    "unet",
    "lora_unet",
    ("down_blocks.", "mid_block.", "up_blocks.", "conv_in.", "conv_out."),
    ("conv_in", "conv_out"),  # sd-scripts looks into the blocks only
)
FAMILIES = {
    "sd": (
        UNET,
        PartNames("text_encoder.text_model", "lora_te_text_model", ("encoder.layers.",)),
    ),
    "sdxl": (
        replace(UNET, renamed=original_name),
        PartNames("text_encoder.text_model", "lora_te1_text_model", ("encoder.layers.",)),
        PartNames("text_encoder_2", "lora_te2", ("text_model.encoder.layers.",)),
    ),
}
"""Stable Diffusion 1.x, 2.x and the starter; SDXL and what was distilled from it."""


def family_of(metadata: Mapping[str, Any]) -> tuple[PartNames, ...]:
    """The table for the base of one of smalti's own adapters, by what its file says."""
    return FAMILIES[metadata.get("base", {}).get("family", "sd")]


def kohya_name(part: PartNames, path: str) -> str:
    """What kohya's files call a layer: "lora_unet_mid_block_attentions_0_proj_in"."""
    return f"{part.kohya}_{part.renamed(path).replace('.', '_')}"


def split_name(name: str, parts: tuple[PartNames, ...]) -> tuple[PartNames, str] | None:
    """Part and path of "unet.mid_block.attentions.0.proj_in"; None where no part begins it."""
    for part in parts:
        if name.startswith(f"{part.own}."):
            return part, name.removeprefix(f"{part.own}.")
    return None
