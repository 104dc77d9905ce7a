"""Captions that are too long for the text encoder: the concept must stand in what it reads."""

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import torch

from ..configs.settings import TrainSettings
from ..models.base import BaseModel
from ..models.conditioning import prompt_ids
from ..models.edlora import Adapter
from ..models.words import CONCEPT
from .templates import fill

CLAUSE_END = re.compile(r"\s*[,;.]\s+")


@dataclass(frozen=True)
class FittedCaptions:
    """Captions in which the text encoder sees the concept."""

    captions: tuple[str | None, ...]
    moved: tuple[str, ...]
    """Those that were too long, as they were written."""


def fitted_captions(
    captions: Iterable[str | None], base: BaseModel, adapter: Adapter, settings: TrainSettings
) -> FittedCaptions:
    """Move the concept to the front of captions that are cut off before it."""

    def fits(caption: str) -> bool:
        prompt = fill(caption, adapter.trigger, settings.class_word)
        return places_of(base, adapter, prompt) is not None

    old = tuple(captions)
    new = tuple(caption and with_concept_in_reach(caption, fits) for caption in old)
    moved = (before for before, now in zip(old, new, strict=True) if before and before != now)
    return FittedCaptions(new, tuple(moved))


def with_concept_in_reach(caption: str, fits: Callable[[str], bool]) -> str:
    """The caption if it fits, else with its clause of the concept, or the concept, in front."""
    if fits(caption):
        return caption
    clauses = CLAUSE_END.split(caption)
    own = next(clause for clause in clauses if CONCEPT in clause)
    clauses.remove(own)
    moved = ", ".join([own, *clauses])
    return moved if fits(moved) else f"{CONCEPT}, {caption}"


def places_of(base: BaseModel, adapter: Adapter, prompt: str) -> torch.Tensor | None:
    """The place [words] of each concept word among a prompt's tokens; None where one is cut off.

    Where no word is learned these are the tokens of the plain text that stands for the concept.
    """
    ids = prompt_ids(base, [prompt], [adapter])[0, 0]
    if adapter.words:
        words = base.concepts.ids(adapter.peft_name)[:, 0].tolist()
    else:
        words = base.readers[0].tokenizer(adapter.trigger, add_special_tokens=False).input_ids
    found = [(ids == word).nonzero() for word in words]
    if any(len(places) == 0 for places in found):
        return None
    return torch.stack([places[0, 0] for places in found])
