"""What a training run has to do and has done, found out without loading a model."""

import json
import time
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median
from typing import Any

import torch

from ..configs.errors import InputError
from ..configs.settings import Settings
from ..models.base import weights_fingerprint
from ..models.concepts import ADAPTER_FILE, WORK_FOLDER
from ..models.files import is_present, locate
from .checkpoint import check_identity, read_facts, run_identity
from .concept import Concept, load_concept
from .dataset import data_digest

# Stable Diffusion at 512 px: UNet and 16 text passes take 1 TFLOP forward, backward twice that.
SD_FLOP_PER_SAMPLE = 3e12
SD_SIZE_GB = 3.4
# Share of a plain matrix product's speed that small convolutions and attentions reach.
EFFICIENCY = 0.25


def with_class_word(settings: Settings, concept: Concept) -> Settings:
    """Return the settings with the class word that the concept's folder resolved to."""
    return replace(settings, train=replace(settings.train, class_word=concept.class_word))


def finished_steps(concept: Concept, settings: Settings, work: Path, processes: int) -> int:
    """Return the steps of the finished run in `work`, or 0 when something is left to do.

    Loads no model. Raises InputError when what lies there was begun with other settings, images or
    weights.
    """
    facts = read_facts(work / "checkpoints")
    if facts is None:
        return 0
    saved = facts["identity"]
    if facts["step"] < settings.train.steps:  # going on loads the base, and compares it then
        check_identity(identity_of(concept, settings, saved["base"], processes), saved)
        return 0
    check_identity(_identity_now(concept, settings, processes, saved), saved)
    return facts["step"]


def _identity_now(
    concept: Concept, settings: Settings, processes: int, saved: dict[str, Any]
) -> dict[str, Any]:
    """`identity_of` today; a base that is not here yet is compared once it is loaded."""
    base = settings.base
    known = weights_fingerprint(locate(base), base.variant) if is_present(base) else saved["base"]
    return identity_of(concept, settings, known, processes)


def identity_of(
    concept: Concept, settings: Settings, fingerprint: str, processes: int
) -> dict[str, Any]:
    """Return what must stay the same while this concept's run goes on."""
    data = data_digest(concept, settings.train)
    return run_identity(settings.train, data, fingerprint, settings.base.resolution, processes)


def dry_run(folder: Path, settings: Settings, *, restart: bool = False) -> dict[str, Any]:
    """Return what training would do, for printing; changes nothing.

    restart: as if earlier work were forgotten. Raises InputError as `train_concept` would for the
    folder.
    """
    concept = load_concept(folder, settings.train.class_word)
    settings = with_class_word(settings, concept)
    train, size = settings.train, settings.base.resolution
    before = earlier_work(concept, settings)
    done = 0 if restart else before.steps
    conflict = [before.conflict] if before.conflict and not restart else []
    seconds = estimate_seconds(concept, settings, train.steps - done, logged=before.is_same_run)
    samples = train.batch_size * train.gradient_accumulation
    crops = len(concept.images) * train.crops_per_image
    return {
        "concept": concept.name,
        "class_word": concept.class_word,
        "images": len(concept.images),
        "with_mask": sum(item.mask is not None for item in concept.images),
        "with_caption": sum(item.caption is not None for item in concept.images),
        "warnings": [*concept.warnings, *conflict],
        "base": settings.base.name,
        "crops": f"{crops} of {size}x{size} px, latents {size // 8}x{size // 8}",
        "steps": f"{train.steps} of {samples} samples, {done} done",
        "views_per_image": round(train.steps * samples / len(concept.images)),
        "estimated_minutes": round(seconds / 60, 1),
        "output": str(concept.folder / ADAPTER_FILE),
    }


@dataclass(frozen=True)
class EarlierWork:
    """What lies in a concept's work folder, as seen by the run that would come next."""

    steps: int = 0
    """Steps that the run would go on from."""
    conflict: str = ""
    """Why it would be refused."""
    is_same_run: bool = False
    """Whether it was begun with the same settings, images and base."""


def earlier_work(concept: Concept, settings: Settings) -> EarlierWork:
    """Look for checkpoints; loads no model."""
    facts = read_facts(concept.folder / WORK_FOLDER / "checkpoints")
    if facts is None:
        return EarlierWork()
    saved = facts["identity"]
    try:
        check_identity(_identity_now(concept, settings, saved["processes"], saved), saved)
    except InputError as error:
        return EarlierWork(conflict=str(error))
    return EarlierWork(min(facts["step"], settings.train.steps), is_same_run=True)


def estimate_seconds(concept: Concept, settings: Settings, steps: int, *, logged: bool) -> float:
    """Estimate the time of `steps` steps from the device's speed.

    logged: from the durations in this concept's log instead, if there are any.
    """
    log = concept.folder / WORK_FOLDER / "log.jsonl"
    if logged and (measured := _logged_step_seconds(log)):
        return steps * measured
    train, base = settings.train, settings.base
    scale = base.size_gb / SD_SIZE_GB * (base.resolution / 512) ** 2
    flop = SD_FLOP_PER_SAMPLE * scale * train.batch_size * train.gradient_accumulation
    return steps * flop / (EFFICIENCY * device_speed())


def device_speed() -> float:
    """Return this device's floating-point operations per second in a matrix product, measured."""
    device = "cuda" if torch.cuda.is_available() else "cpu"
    size = 4096 if device == "cuda" else 512
    matrix = torch.randn(size, size, device=device)
    matrix @ matrix
    began = time.perf_counter()
    for _ in range(5):
        matrix = (matrix @ matrix).clamp(-1, 1)
    matrix.sum().item()
    return 5 * 2 * size**3 / (time.perf_counter() - began)


def _logged_step_seconds(path: Path) -> float:
    """Return the median duration of the last logged steps, 0 without any."""
    try:
        lines = path.read_text().splitlines()[-50:]
        return median(json.loads(line)["seconds"] for line in lines) if lines else 0.0
    except (OSError, ValueError, KeyError):
        return 0.0
