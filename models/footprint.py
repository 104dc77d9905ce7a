"""What memory known bases take on a GPU, by figures that were counted beforehand.

`benchmarks/footprints.py` counts them on models without weights and writes the file that is read
here. Nothing loads torch.
"""

import tomllib
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import NamedTuple

from ..configs.base import BaseSettings
from ..configs.presets import load_base_preset, preset_names

COUNTED = Path(__file__).parents[1] / "configs" / "footprints.toml"
GIB = 2**30
CARDS = (8, 12, 16, 24)
"""Memory of usual cards, in GiB, which shops call GB."""
USABLE = 0.9  # of a card: its allocator leaves gaps, and a screen may hang on it
CONTEXT = 0.8 * GIB  # the driver's and the libraries' own
MOST = 64  # larger batches gain nothing


class Growth(NamedTuple):
    """Peak bytes beside the weights, in 16 bits: fixed + batch * (sample + pixel * side^2)."""

    fixed: float
    sample: float
    pixel: float

    def bytes(self, side: int, batch: int) -> float:
        """For a batch of squares of `side` px."""
        return self.fixed + batch * (self.sample + self.pixel * side**2)


@dataclass(frozen=True)
class Footprint:
    """What a base takes on a GPU in bf16 or fp16."""

    values: int
    """Values of all weights: UNet, text encoder, VAE."""
    adapter: int
    """Trained values at the training preset's rank."""
    merged: int
    """Values of the UNet's weights that stand aside while an adapter is merged into copies."""
    training: Growth
    """A training step with the attention regulariser, every sample with a caption of its own."""
    checkpointed: Growth
    """The same with gradient checkpointing."""
    drawing: Growth
    """A denoising step of a tile under "projection", with its look at the decoded tile."""
    exact: Growth
    """The same under "exact", which differentiates UNet and decoder."""

    @property
    def weights(self) -> int:
        """Bytes of the weights in 16 bits."""
        return 2 * self.values

    def training_bytes(self, side: int, batch: int, *, checkpointing: bool = False) -> float:
        """Weights, adapter with Adam's two moments in fp32, and the peak of a step."""
        step = self.checkpointed if checkpointing else self.training
        return self.weights + 12 * self.adapter + step.bytes(side, batch)

    def drawing_bytes(self, side: int, batch: int, *, gradients: bool = False) -> float:
        """Weights, an adapter merged, and the peak of a step that draws `batch` tiles."""
        step = self.exact if gradients else self.drawing
        return self.weights + 2 * self.merged + step.bytes(side, batch)


class CardFacts(NamedTuple):
    """What a card holds of a base at its own resolution; 0 is nothing at all."""

    card: int
    """GiB."""
    batch: int
    """Samples of a training step."""
    checkpointed: int
    """The same with gradient checkpointing."""
    tiles: int
    """Tiles drawn at once."""

    def training(self) -> str:
        """What training it holds, in words."""
        if not self.checkpointed:
            return f"{self.card} GB: none"
        if not self.batch:
            return f"{self.card} GB: batch {self.checkpointed} with --gradient-checkpointing"
        return f"{self.card} GB: batch {self.batch}, checkpointed {self.checkpointed}"


def known_footprints() -> dict[str, Footprint]:
    """The counted bases by name."""
    return {name: _footprint(facts) for name, facts in _counted().items()}


def footprint_of(base: BaseSettings) -> Footprint | None:
    """What a base takes, None if it is no preset or nobody counted it."""
    facts = _counted().get(base.name)
    if facts is None or base.name not in preset_names("base"):
        return None
    own = base.source == load_base_preset(base.name)["base"]["source"]
    return _footprint(facts) if own else None


@cache
def _counted() -> dict[str, dict]:
    return tomllib.loads(COUNTED.read_text(encoding="utf-8"))


def _footprint(facts: dict) -> Footprint:
    whole = {name: facts[name] for name in ("values", "adapter", "merged")}
    kinds = ("training", "checkpointed", "drawing", "exact")
    return Footprint(**whole, **{name: Growth(*facts[name]) for name in kinds})


def fitting(needed: Callable[[int], float], card: int) -> int:
    """The largest batch, up to MOST, that a card of so many GiB holds; 0 if not even one."""
    room = USABLE * card * GIB - CONTEXT
    return max((batch for batch in range(1, MOST + 1) if needed(batch) <= room), default=0)


def card_facts(found: Footprint, side: int, card: int) -> CardFacts:
    """What a card holds when pictures have `side` px."""
    return CardFacts(
        card,
        fitting(lambda n: found.training_bytes(side, n), card),
        fitting(lambda n: found.training_bytes(side, n, checkpointing=True), card),
        fitting(lambda n: found.drawing_bytes(side, n), card),
    )
