"""Checkpoints of a training run: what the next step depends on, in a folder that appears whole.

`concepts/NAME/.training/checkpoints/step_000200/`
holds `adapter.safetensors`, `optimizer.pt` (optimiser, gradient scaler and RNG states) and
`state.json` (step, sampler position, frozen words, and what the run was begun with).
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from ..configs.errors import InputError
from ..configs.files import remove, replacing
from ..configs.settings import TrainSettings

VERSION = 1
# May differ when a run goes on: they do not change what the adapter is or what it has seen.
FREE_SETTINGS = {
    "steps",
    "checkpoint_every",
    "keep_checkpoints",
    "validate_every",
    "validation_steps",
    "validation_prompts",
    "gradient_checkpointing",
}


@dataclass
class Checkpoint:
    """State of a run after `step` optimiser steps."""

    step: int
    """Optimiser steps done."""
    position: int
    """Samples drawn so far, over all processes: the sampler's whole state."""
    frozen_words: list[bool]
    """Which concept words have reached the norm limit."""
    identity: dict[str, Any]
    """What the run was begun with: settings, data and base model (see `run_identity`)."""
    adapter: Mapping[str, torch.Tensor] = field(repr=False)
    """The adapter's weights, fp32."""
    optimizer: dict[str, Any] = field(repr=False)
    """State dict of the optimiser."""
    scaler: dict[str, Any] | None = field(default=None, repr=False)
    """State dict of the fp16 gradient scaler."""


def run_identity(
    settings: TrainSettings, data: str, base: str, resolution: int, processes: int
) -> dict[str, Any]:
    """Return what must not change while a run goes on, as JSON values."""
    fixed = {key: value for key, value in asdict(settings).items() if key not in FREE_SETTINGS}
    return {**fixed, "images": data, "base": base, "resolution": resolution, "processes": processes}


def check_identity(identity: Mapping[str, Any], saved: Mapping[str, Any]) -> None:
    """Raise InputError naming what changed since the run in `saved` was begun."""
    changed = [key for key in identity if identity[key] != saved.get(key)]
    if changed:
        raise InputError(
            "This concept's training was begun with other values of: "
            f"{', '.join(_describe(changed, saved))}. "
            "Give the same again to go on, or --restart to begin anew."
        )


def _describe(changed: list[str], saved: Mapping[str, Any]) -> list[str]:
    return [key if key == "images" else f"{key} (then {saved.get(key)!r})" for key in changed]


def save_checkpoint(folder: Path, checkpoint: Checkpoint, keep: int) -> Path:
    """Write `folder/step_NNNNNN`, remove all but the last `keep` of its kind, return its path."""
    path = folder / f"step_{checkpoint.step:06d}"
    with replacing(path) as temporary:
        temporary.mkdir()
        tensors = {
            key: value.detach().cpu().contiguous() for key, value in checkpoint.adapter.items()
        }
        save_file(tensors, temporary / "adapter.safetensors")
        states = {
            "optimizer": checkpoint.optimizer,
            "scaler": checkpoint.scaler,
            "rng": _rng_state(),
        }
        save_state(states, temporary / "optimizer.pt")
        facts = {
            key: getattr(checkpoint, key)
            for key in ("step", "position", "frozen_words", "identity")
        }
        (temporary / "state.json").write_text(json.dumps({"version": VERSION, **facts}, indent=1))
    for old in checkpoints(folder)[:-keep]:
        remove(old)
    return path


def save_state(state: Mapping[str, Any], path: Path) -> None:
    """Write a dict of tensors and plain values as `torch.load` reads it; OSError on a full disk."""
    with path.open("wb") as file:  # given a name, torch reports a full disk as a bug of its own
        torch.save(state, file)


def checkpoints(folder: Path) -> list[Path]:
    """Return the checkpoint folders in `folder`, oldest first."""
    return sorted(path for path in folder.glob("step_*") if path.is_dir())


def read_facts(folder: Path) -> dict[str, Any] | None:
    """Return the latest readable checkpoint's `state.json`, without tensors, or None."""
    for path in reversed(checkpoints(folder)):
        try:
            facts = json.loads((path / "state.json").read_text())
        except (OSError, ValueError):
            continue
        if facts.get("version") == VERSION:
            return facts
    return None


def load_latest(folder: Path) -> Checkpoint | None:
    """Return the latest checkpoint that can be read whole, its RNG states restored, or None."""
    for path in reversed(checkpoints(folder)):
        try:
            return _load(path)
        except (OSError, ValueError, KeyError, RuntimeError, SafetensorError):
            # Damaged: the one before it loses a few steps, not the run.
            continue
    return None


def _load(path: Path) -> Checkpoint:
    facts = json.loads((path / "state.json").read_text())
    if facts.pop("version") != VERSION:
        raise ValueError("another version")
    states = torch.load(path / "optimizer.pt", map_location="cpu", weights_only=True)
    adapter = load_file(path / "adapter.safetensors")
    _restore_rng(states["rng"])
    return Checkpoint(
        **facts, adapter=adapter, optimizer=states["optimizer"], scaler=states["scaler"]
    )


def _rng_state() -> dict[str, Any]:
    cuda = torch.cuda.get_rng_state_all() if torch.cuda.is_available() else []
    return {"cpu": torch.get_rng_state(), "cuda": cuda}


def _restore_rng(state: Mapping[str, Any]) -> None:
    torch.set_rng_state(state["cpu"])
    if state["cuda"] and len(state["cuda"]) == torch.cuda.device_count():
        torch.cuda.set_rng_state_all(state["cuda"])
