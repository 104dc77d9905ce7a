"""What lies in a concept's work folder, found out without torch.

It is `concepts/NAME/.training/` with `checkpoints/step_000200/`, whose `state.json` holds a
checkpoint's facts, and `log.jsonl`, one line per step.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

VERSION = 1
"""Version of a checkpoint's files; others are passed over."""
RECENT = 50
"""Steps whose durations say how long the next ones take."""


@dataclass(frozen=True)
class EarlierWork:
    """What an earlier run has left."""

    steps: int
    """Steps done at its latest checkpoint."""
    identity: dict[str, Any]
    """What it was begun with (see `identity.identity_of`)."""
    step_seconds: float
    """Median duration of its latest steps; 0 when it has no log."""

    def precision(self, asked: str) -> str:
        """The precision to go on in: where none is asked for ("auto"), that of its beginning."""
        return self.identity.get("mixed_precision", asked) if asked == "auto" else asked


def earlier_work(work: Path) -> EarlierWork | None:
    """Look into the work folder; None when there is no readable checkpoint."""
    for path in reversed(checkpoints(work)):
        try:
            facts = read_state(path)
        except (OSError, ValueError, KeyError):
            continue
        return EarlierWork(facts["step"], facts["identity"], _step_seconds(log_path(work)))
    return None


def checkpoint_folder(work: Path) -> Path:
    """Where a work folder keeps its checkpoints."""
    return work / "checkpoints"


def log_path(work: Path) -> Path:
    """Where a work folder keeps the scalars of every step."""
    return work / "log.jsonl"


def checkpoints(work: Path) -> list[Path]:
    """The folders of the checkpoints, oldest first."""
    return sorted(path for path in checkpoint_folder(work).glob("step_*") if path.is_dir())


def read_state(path: Path) -> dict[str, Any]:
    """The facts of a checkpoint; raises OSError, ValueError or KeyError without them."""
    facts = json.loads((path / "state.json").read_text(encoding="utf-8"))
    if facts.pop("version") != VERSION:
        raise ValueError("another version")
    return facts


def _step_seconds(log: Path) -> float:
    try:
        lines = log.read_text(encoding="utf-8").splitlines()[-RECENT:]
        return median(json.loads(line)["seconds"] for line in lines) if lines else 0.0
    except (OSError, ValueError, KeyError):
        return 0.0
