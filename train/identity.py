"""What must stay the same while a training run goes on: its identity, kept in every checkpoint.

A run that goes on computes as it began. What was left open ("auto") is decided once, when the run
begins, and its identity holds what was decided.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from ..configs.claim import as_json, check_claim
from ..configs.errors import InputError
from ..configs.files import file_hash
from ..configs.settings import BaseSettings, Settings, TrainSettings
from .concept import Concept

RANDOMNESS = 2
"""Version of the streams that a run draws its random numbers from (1 is told by its absence)."""


def identity_of(
    concept: Concept, settings: Settings, fingerprint: str, processes: int
) -> dict[str, Any]:
    """Everything that a run's result depends on, as JSON values.

    settings: with class word and precision resolved; fingerprint: of the base's weights.
    """
    facts = {
        "mixed_precision": settings.train.mixed_precision,
        "randomness": RANDOMNESS,
        "images": data_digest(concept, settings.train),
        "base": fingerprint,
        "resolution": settings.base.resolution,
        "processes": processes,
    }
    return as_json({**settings.train.identity(), **facts})


def check_goes_on(work: Path, begun: Mapping[str, Any], now: Mapping[str, Any]) -> None:
    """Raise InputError when a run of identity `now` cannot go on with what lies in `work`."""
    if begun.get("randomness") != RANDOMNESS:
        raise InputError(
            f"The training in {work} is of an earlier smalti, which drew other random numbers. "
            "Give --restart to begin anew; a finished adapter may be used as it is."
        )
    check_claim(
        begun,
        now,
        what=f"The training in {work} was begun",
        remedy="Give the same again to go on, or --restart to begin anew.",
        defaults=TrainSettings().identity(),
    )


def present_fingerprint(base: BaseSettings) -> str | None:
    """Fingerprint of a base's weights; None where they are still to be fetched."""
    from ..models.base import base_fingerprint
    from ..models.locate import is_present, locate

    return base_fingerprint(base, locate(base)) if is_present(base) else None


def with_class_word(settings: Settings, concept: Concept) -> Settings:
    """The settings with the class word that the concept's folder resolved to."""
    return replace(settings, train=replace(settings.train, class_word=concept.class_word))


def with_precision(settings: Settings, precision: str) -> Settings:
    """The settings with a precision that was decided elsewhere."""
    return replace(settings, train=replace(settings.train, mixed_precision=precision))


def data_digest(concept: Concept, settings: TrainSettings) -> str:
    """A short key of what the user supplies: contents of images, masks and captions."""
    masks = [content_hash(item.mask) if settings.use_masks else "" for item in concept.images]
    images = [content_hash(item.path) for item in concept.images]
    return digest([images, masks, [item.caption for item in concept.images]])


def content_hash(path: Path | None) -> str:
    """Hash of a file's content, "" without a file."""
    return file_hash(path) if path else ""


def digest(value: Any) -> str:
    """16 hex digits that depend on a JSON value alone."""
    return hashlib.sha256(json.dumps(value).encode()).hexdigest()[:16]
