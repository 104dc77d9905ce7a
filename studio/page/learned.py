"""What pages say of a concept: its photos, and how far its training is."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from ...configs.errors import InputError
from ...configs.loading import resolve
from ...configs.progress import duration
from ...configs.tables import read_settings_file
from ...models.adapter_file import read_metadata
from ...models.concept_files import concept_files
from ...models.concepts import ADAPTER_FILE, WORK_FOLDER
from ...models.locate import locate
from ...train.concept import read_class_word
from ...train.earlier import earlier_work, log_path
from ...train.judged import CURVE, Judged, is_over, reached, read_judged

POINTS = 120  # of the drawn loss
WIDTH, HEIGHT = 300, 80  # of its picture, in units
SMOOTHED = 0.05  # weight of a new value in it


@dataclass(frozen=True)
class Photo:
    """One photo as it is shown."""

    name: str
    version: int
    caption: str
    mask: str
    """Name of its mask's file, empty without one."""


@dataclass(frozen=True)
class Training:
    """How far a concept's training is."""

    step: int
    steps: int
    loss: str
    """Points of an SVG polyline, empty where there is no log."""
    latest: float | None
    left: str
    pictures: tuple[str, ...]
    """Validation grids, the latest first."""
    over: bool
    """Whether it would go no further, all steps done or its patience at an end."""
    curve: str
    """The picture of judged checkpoints, empty where fewer than two were judged."""


@dataclass(frozen=True)
class Card:
    """What is said of a concept."""

    name: str
    folder: Path
    word: str
    photos: tuple[Photo, ...]
    trained: dict[str, Any] | None
    """The adapter's metadata."""
    judged: Judged | None
    """What the adapter's checkpoint reached, None where it was not judged."""
    of: int
    """How many steps the run had done that it is one of, 0 where it was not judged."""
    drawn: bool
    """Whether there are pictures that the finished adapter drew."""


def read_card(folder: Path) -> Card:
    """A concept's folder; a damaged adapter counts as none."""
    files = concept_files(folder)
    photos = []
    for path in files.photos:
        captions, masks = files.captions_of(path), files.masks_of(path)
        text = captions[0].read_text("utf-8", errors="replace").strip() if captions else ""
        mask = str(masks[0].relative_to(folder)) if masks else ""
        photos.append(Photo(path.name, path.stat().st_mtime_ns // 10**6, text, mask))
    try:
        trained = (
            read_metadata(folder / ADAPTER_FILE) if (folder / ADAPTER_FILE).is_file() else None
        )
    except InputError:
        trained = None
    try:
        word = read_class_word(folder)
    except InputError:
        word = ""
    judged, of = (trained and reached(folder, trained.get("steps"))) or (None, 0)
    drawn = (folder / "validation.png").is_file()
    return Card(folder.name, folder, word, tuple(photos), trained, judged, of, drawn)


def read_training(folder: Path) -> Training | None:
    """How far it is, from what the training writes; None when it was never begun."""
    work = folder / WORK_FOLDER
    try:
        lines = log_path(work).read_text("utf-8").splitlines()
        found = [json.loads(line) for line in lines if line.endswith("}")]
    except (OSError, ValueError):
        return None
    earlier = earlier_work(work)
    settings = _settings(work)
    steps = settings.get("steps", 0)
    step = found[-1]["step"] if found else 0
    losses = _smoothed([entry["loss"] for entry in found])
    seconds = earlier.step_seconds if earlier else (found[-1].get("seconds", 0.0) if found else 0.0)
    left = duration(seconds * (steps - step)) if seconds and steps > step else ""
    grids = sorted((work / "validation").glob("step_*.png"), reverse=True)
    judged, patience = read_judged(work), settings.get("patience")
    return Training(
        step, steps, _polyline(losses), losses[-1] if losses else None, left,
        tuple(path.name for path in grids),
        step >= steps or is_over(judged, patience if isinstance(patience, int) else None),
        CURVE if len(judged) > 1 and (work / CURVE).is_file() else "",
    )  # fmt: skip


def _settings(work: Path) -> dict[str, Any]:
    """What a training was begun with, as far as that can be read."""
    try:
        return read_settings_file(work / "settings.toml")["train"]
    except (InputError, KeyError, OSError):
        return {}


def _smoothed(values: Sequence[float]) -> list[float]:
    kept: list[float] = []
    for value in values:
        kept.append(value if not kept else kept[-1] + SMOOTHED * (value - kept[-1]))
    return kept


def _polyline(values: Sequence[float]) -> str:
    if len(values) < 2:
        return ""
    every = max(1, len(values) // POINTS)
    few = [*values[::every], values[-1]]
    low, high = min(few), max(few)
    wide = WIDTH / (len(few) - 1)
    scale = HEIGHT / max(high - low, 1e-9)
    return " ".join(f"{i * wide:.1f},{HEIGHT - (v - low) * scale:.1f}" for i, v in enumerate(few))


@cache
def common_words() -> tuple[str, ...]:
    """Words that the starter's text encoder knows whole, for completion."""
    folder = locate(resolve().base)
    known = json.loads((folder / "tokenizer" / "vocab.json").read_text("utf-8"))
    whole = (word.removesuffix("</w>") for word in known if word.endswith("</w>"))
    return tuple(sorted(word for word in whole if len(word) > 2 and word.isalpha()))
