"""An adapter as an object: its words, LoRA and changed weights, of which each may be missing."""

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from torch import nn

from .deltas import WeightDeltas
from .principal import PrincipalStart


@dataclass
class Adapter:
    """A concept's adapter, attached to a base model.

    `name` is the concept's key (lower case), `trigger` what stands for it in prompts: learned words
    ("<pim-1>"), plain text or both. `embeddings` [words, L, D] are those of the learned words; L is
    1 where all layers share them. LoRA scale 1 is alpha / rank; rank 0 is no LoRA.
    """

    name: str
    class_word: str
    trigger: str
    rank: int
    alpha: float
    method: str
    embeddings: nn.Parameter
    targets: str = "attention"
    metadata: dict[str, Any] = field(default_factory=dict)
    path: Path | None = None
    trainable: bool = False
    dora: bool = False
    """Whether LoRA turns weights and magnitudes are learned apart (DoRA, Liu et al. 2024)."""
    deltas: WeightDeltas | None = None
    """Weights of the base that it changes, or of which it leaves a rest."""
    principal: PrincipalStart | None = None
    """Where LoRA began, if it learns from principal directions (PiSSA)."""

    fixed_down: bool = False
    """Whether down projections stay as they are (orthogonal adaptation)."""

    @property
    def words(self) -> list[str]:
        """The concept's learned words, such as ["<pim-1>", "<pim-2>"]."""
        return re.findall(r"<[^<>\s]+>", self.trigger)

    @property
    def peft_name(self) -> str:
        """Its name inside peft and among the word tables: no weight or attribute is called so."""
        return f"edlora_{self.name}"

    def learns(self, key: str) -> bool:
        """Whether training changes a LoRA tensor of this name."""
        return not (self.fixed_down and ".lora_A." in key)

    @property
    def layerwise(self) -> bool:
        """Whether every cross-attention layer has vectors of its own for the words."""
        return self.embeddings.shape[1] > 1
