"""`mosaic-train --dry-run`: what training would do and how long it takes; no model is loaded."""

from pathlib import Path
from typing import Any

from ..configs.errors import InputError
from ..configs.settings import Settings
from ..configs.train import PRIOR
from ..models.concepts import ADAPTER_FILE, WORK_FOLDER
from ..models.cost import TRAINING, expected_device, seconds_of
from ..models.footprint import CARDS, GIB, card_facts, footprint_of
from .concept import Concept, load_concept
from .earlier import EarlierWork, earlier_work
from .identity import (
    check_goes_on,
    identity_of,
    present_fingerprint,
    with_class_word,
    with_precision,
)


def dry_run(folder: Path, settings: Settings, *, restart: bool = False) -> dict[str, Any]:
    """Return what training would do, for printing; changes nothing.

    restart: as if earlier work were forgotten. Raises InputError as `train_concept` would for the
    folder.
    """
    concept = load_concept(folder, settings.train.class_word)
    settings = with_class_word(settings, concept)
    earlier = earlier_work(concept.folder / WORK_FOLDER)
    refusal = conflict(concept, settings, earlier) if earlier else ""
    same_run = earlier if not refusal else None
    done = min(same_run.steps, settings.train.steps) if same_run and not restart else 0
    seconds = same_run.step_seconds if same_run else 0.0
    seconds = seconds or estimate_step_seconds(settings)
    return {
        **_of_images(concept),
        "warnings": [*concept.warnings, *([refusal] if refusal and not restart else [])],
        **_of_work(concept, settings, done),
        **_of_memory(settings),
        "estimated_minutes": round((settings.train.steps - done) * seconds / 60, 1),
        "output": str(concept.folder / ADAPTER_FILE),
    }


def _of_images(concept: Concept) -> dict[str, Any]:
    return {
        "concept": concept.name,
        "class_word": concept.class_word,
        "images": len(concept.images),
        "with_mask": sum(item.mask is not None for item in concept.images),
        "with_caption": sum(item.caption is not None for item in concept.images),
    }


def _of_work(concept: Concept, settings: Settings, done: int) -> dict[str, Any]:
    train, size = settings.train, settings.base.resolution
    samples = train.batch_size * train.gradient_accumulation
    crops = len(concept.images) * train.crops_per_image
    return {
        "base": settings.base.name,
        "crops": f"{crops} of {size}x{size} px, latents {size // 8}x{size // 8}",
        "steps": f"{train.steps} of {samples} samples, {done} done",
        "views_per_image": round(train.steps * samples / len(concept.images)),
    }


def _of_memory(settings: Settings) -> dict[str, str]:
    """What a step takes on a GPU and which cards hold it, where that was counted."""
    found = footprint_of(settings.base)
    if found is None:
        return {}
    train, side = settings.train, settings.base.resolution
    needed = found.training_bytes(
        side, train.batch_size, checkpointing=train.gradient_checkpointing
    )
    return {
        "memory": f"about {needed / GIB:.1f} GiB on a GPU in 16 bits",
        "cards": "; ".join(card_facts(found, side, card).training() for card in CARDS),
    }


def conflict(concept: Concept, settings: Settings, earlier: EarlierWork) -> str:
    """Why earlier work could not go on with these settings, images and base; "" when it could."""
    settings = with_precision(settings, earlier.precision(settings.train.mixed_precision))
    fingerprint = present_fingerprint(settings.base) or earlier.identity["base"]
    now = identity_of(concept, settings, fingerprint, earlier.identity["processes"])
    try:
        check_goes_on(concept.folder / WORK_FOLDER, earlier.identity, now)
    except InputError as error:
        return str(error)
    return ""


def estimate_step_seconds(settings: Settings) -> float:
    """Estimate the time of a step from the size of the base and the kind of device."""
    train, base = settings.train, settings.base
    prior = train.method in PRIOR and train.prior_weight > 0
    calls = TRAINING * train.batch_size * train.gradient_accumulation * (1 + prior)
    return seconds_of(calls, base, base.resolution, expected_device())
