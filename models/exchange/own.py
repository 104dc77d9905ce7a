"""One of smalti's own adapters as plain data: what every export is made of."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ...configs.errors import InputError
from ..adapter_file import damaged, read_tensors, word_key
from .header import require_own, texts_of
from .lora import LoraLayer, layers_of
from .names import PartNames, family_of, split_name

NOT_HELD = {".delta": "whole weights that changed", ".lora_magnitude_vector": "DoRA"}
"""What some methods learn, by the end of its tensors' names."""


@dataclass(frozen=True)
class OwnAdapter:
    """An adapter's file: its LoRA, its words and what it says of itself."""

    path: Path
    metadata: Mapping[str, Any]
    """The `edlora` object of its header."""
    peft: str
    """Its LoRA's settings as diffusers reads them, JSON."""
    layers: Mapping[str, LoraLayer]
    """By name: "unet.mid_block.attentions.0.proj_in"."""
    words: Tensor
    """[words, L, D], fp32; L is 1 where one vector serves all layers of the base. There may be
    none, as there may be no layers."""

    @property
    def name(self) -> str:
        """The concept's key, which is also the word that calls its embedding."""
        return str(self.metadata["name"])

    @property
    def layerwise(self) -> bool:
        """Whether every cross-attention layer has vectors of its own for the words."""
        return self.words.shape[1] > 1

    @property
    def parts(self) -> tuple[PartNames, ...]:
        """What the layers of its base are called in files."""
        return family_of(self.metadata)

    def place(self, layer: str) -> tuple[PartNames, str]:
        """Part and path of a layer; raises InputError for one that the base's family lacks."""
        found = split_name(layer, self.parts)
        if found is None:
            raise damaged(self.path, f"{layer} belongs to no part of its base")
        return found


def read_own(path: Path) -> OwnAdapter:
    """Read one of smalti's adapters; raises InputError for others' and damaged files."""
    metadata = require_own(path)
    tensors = read_tensors(path)
    for ending, what in NOT_HELD.items():
        if key := next((key for key in tensors if key.endswith(ending)), None):
            raise InputError(f"{path} has {what} ({key}), which no format here holds.")
    peft = texts_of(path).get("lora_adapter_metadata", "{}")
    words = _words(path, metadata, tensors)
    return OwnAdapter(path, metadata, peft, layers_of(path, tensors), words)


def _words(path: Path, metadata: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> Tensor:
    """All words of a concept [words, L, D]; no method has to learn some."""
    try:
        rows = [tensors[word_key(word)] for word in metadata["tokens"]]
        words = torch.stack(rows).float() if rows else torch.zeros(0, 1, 1)
    except (KeyError, TypeError, RuntimeError) as error:
        raise damaged(path, f"it lacks words: {error}") from error
    if words.ndim != 3:
        raise damaged(path, f"its words are of shape {list(words.shape)}")
    return words
