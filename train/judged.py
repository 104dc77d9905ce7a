"""The judged checkpoints of a run: which was best, whether training is over, which was chosen.

In `.training`, `log.jsonl` has the scores of every judged step, `judged/step_000040.safetensors`
the adapter of one of the best, and `judged/chosen.json` which one became the concept's.
Nothing here needs torch.
"""

import json
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ..configs.errors import InputError
from ..configs.files import read_json, remove, replacing, write_json
from ..models.concepts import ADAPTER_FILE, WORK_FOLDER
from .earlier import checkpoint_folder, log_path

CHOSEN = "chosen.json"
CURVE = "judged.png"


@dataclass(frozen=True)
class Judged:
    """What a checkpoint reached."""

    step: int
    likeness: float
    obedience: float

    @property
    def score(self) -> float:
        """Likeness times obedience: neither makes up for the other."""
        return self.likeness * self.obedience


def read_judged(work: Path) -> list[Judged]:
    """The judged steps of a run, in order; none without a log."""
    try:
        lines = log_path(work).read_text(encoding="utf-8").splitlines()
    except OSError:
        return []
    found = []
    for line in lines:
        try:
            values = json.loads(line)
            found.append(Judged(values["step"], values["likeness"], values["obedience"]))
        except (ValueError, KeyError):  # not judged, or cut off by a kill
            continue
    return found


def ranked(judged: Sequence[Judged]) -> list[Judged]:
    """The best first; of equals the earliest."""
    return sorted(judged, key=lambda one: (-one.score, one.step))


def is_over(judged: Sequence[Judged], patience: int | None) -> bool:
    """Whether the last `patience` judged checkpoints were all no better than one before them."""
    if not judged or patience is None:
        return False
    steps = [one.step for one in judged]
    return len(steps) - 1 - steps.index(ranked(judged)[0].step) >= patience


def judged_folder(work: Path) -> Path:
    """Where a work folder keeps the adapters of judged checkpoints."""
    return work / "judged"


def forget(work: Path) -> None:
    """Remove what a run in a work folder would go on from, and what was judged of it."""
    remove(checkpoint_folder(work))
    remove(judged_folder(work))


def judged_path(work: Path, step: int) -> Path:
    """The adapter of a judged step."""
    return judged_folder(work) / f"step_{step:06d}.safetensors"


def kept_steps(work: Path) -> list[int]:
    """Judged steps whose adapters are there."""
    files = judged_folder(work).glob("step_*.safetensors")
    return sorted(int(path.stem.removeprefix("step_")) for path in files)


def prune(work: Path, keep: int) -> None:
    """Leave the adapters of the best `keep` steps of the log, and no others."""
    wanted = {one.step for one in ranked(read_judged(work))[:keep]}
    for step in kept_steps(work):
        if step not in wanted:
            remove(judged_path(work, step))


def choose(work: Path, out: Path, step: int, of: int) -> None:
    """Make a judged step's adapter the one in `out`; `of`: steps that the run has done."""
    with replacing(out) as temporary:
        shutil.copyfile(judged_path(work, step), temporary)
    write_json(judged_folder(work) / CHOSEN, {"step": step, "of": of})


def chosen_step(work: Path, of: int) -> int | None:
    """The step that was chosen of a run of so many steps; None where none was."""
    found = read_json(judged_folder(work) / CHOSEN) or {}
    return found.get("step") if found.get("of") == of else None


def reached(concept: Path, steps: object) -> tuple[Judged, int] | None:
    """What the adapter of a concept reached when it was judged, and of how many steps it is one.

    steps: of the adapter, as its file says; None where the run that is here did not choose it.
    """
    work = concept / WORK_FOLDER
    found = read_json(judged_folder(work) / CHOSEN) or {}
    if found.get("step") is None or found["step"] != steps:
        return None
    one = next((one for one in read_judged(work) if one.step == steps), None)
    return (one, found.get("of", one.step)) if one else None


def pick(concept: Path, step: int) -> Path:
    """Make another judged checkpoint a concept's adapter, and return its path.

    Raises InputError where none was judged, or that one is not there.
    """
    work, out = concept / WORK_FOLDER, concept / ADAPTER_FILE
    kept = kept_steps(work)
    if not kept:
        raise InputError(
            f"{concept} has no judged checkpoints. Train it with --judge-every 50, say."
        )
    if step not in kept:
        scores = {one.step: one.score for one in read_judged(work)}
        known = ", ".join(f"{one} ({scores.get(one, 0):.3f})" for one in kept)
        raise InputError(f"{concept} has no judged checkpoint of step {step}; it has {known}.")
    of = (read_json(judged_folder(work) / CHOSEN) or {}).get("of", step)
    choose(work, out, step, of)
    return out
