"""Checkpoints of a training run: what the next step depends on, in a folder that appears whole.

`concepts/NAME/.training/checkpoints/step_000200/`
holds `adapter.safetensors`, `optimizer.pt` (optimiser, gradient scaler and RNG states) and
`state.json` (step, which also is the place in the stream of samples, frozen words, and what the run
was begun with).
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from ..configs.files import remove, replacing
from .earlier import VERSION, checkpoint_folder, checkpoints, read_state

FACTS = ("step", "frozen_words", "identity")


@dataclass
class Checkpoint:
    """State of a run after `step` optimiser steps."""

    step: int
    """Optimiser steps done."""
    frozen_words: list[bool]
    """Which concept words have reached the norm limit."""
    identity: dict[str, Any]
    """What the run was begun with: settings, data and base model (see `identity.identity_of`)."""
    adapter: Mapping[str, torch.Tensor] = field(repr=False)
    """The adapter's weights, fp32."""
    optimizer: dict[str, Any] = field(repr=False)
    """State dict of the optimiser."""
    scaler: dict[str, Any] | None = field(default=None, repr=False)
    """State dict of the fp16 gradient scaler."""


def save_checkpoint(work: Path, checkpoint: Checkpoint, keep: int) -> Path:
    """Write `checkpoints/step_NNNNNN`, remove all but the last `keep` of them, return its path."""
    path = checkpoint_folder(work) / f"step_{checkpoint.step:06d}"
    with replacing(path) as temporary:
        temporary.mkdir()
        tensors = {k: v.detach().cpu().contiguous() for k, v in checkpoint.adapter.items()}
        save_file(tensors, temporary / "adapter.safetensors")
        states = {key: getattr(checkpoint, key) for key in ("optimizer", "scaler")}
        save_state({**states, "rng": _rng_state()}, temporary / "optimizer.pt")
        facts = {key: getattr(checkpoint, key) for key in FACTS}
        (temporary / "state.json").write_text(json.dumps({"version": VERSION, **facts}, indent=1))
    for old in checkpoints(work)[:-keep]:
        remove(old)
    return path


def save_state(state: Mapping[str, Any], path: Path) -> None:
    """Write a dict of tensors and plain values as `torch.load` reads it; OSError on a full disk."""
    with path.open("wb") as file:  # given a name, torch reports a full disk as a bug of its own
        torch.save(state, file)


def load_latest(work: Path) -> Checkpoint | None:
    """Return the latest checkpoint that can be read whole, its RNG states restored, or None."""
    for path in reversed(checkpoints(work)):
        try:
            return _load(path)
        except (OSError, ValueError, KeyError, RuntimeError, SafetensorError):
            # Damaged: the one before it loses a few steps, not the run.
            continue
    return None


def _load(path: Path) -> Checkpoint:
    facts = read_state(path)
    states = torch.load(path / "optimizer.pt", map_location="cpu", weights_only=True)
    adapter = load_file(path / "adapter.safetensors")
    _restore_rng(states["rng"])
    return Checkpoint(
        **{key: facts[key] for key in FACTS},
        adapter=adapter,
        optimizer=states["optimizer"],
        scaler=states["scaler"],
    )


def _rng_state() -> dict[str, Any]:
    cuda = torch.cuda.get_rng_state_all() if torch.cuda.is_available() else []
    return {"cpu": torch.get_rng_state(), "cuda": cuda}


def _restore_rng(state: Mapping[str, Any]) -> None:
    torch.set_rng_state(state["cpu"])
    if state["cuda"] and len(state["cuda"]) == torch.cuda.device_count():
        torch.cuda.set_rng_state_all(state["cuda"])
