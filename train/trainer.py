"""Stage one: a concept folder becomes an adapter. The same call resumes an unfinished run."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from ..configs.errors import InputError
from ..configs.files import ensure_writable, remove, sweep
from ..configs.progress import Report, reporting, say, silent
from ..configs.settings import Settings
from ..configs.tables import save_settings
from ..models.adapter_file import read_metadata
from ..models.concepts import ADAPTER_FILE, WORK_FOLDER
from ..models.edlora import save_adapter
from .checkpoint import load_latest
from .concept import Concept, load_concept
from .earlier import EarlierWork, earlier_work
from .identity import check_goes_on, identity_of, present_fingerprint, with_class_word
from .judged import (
    CHOSEN,
    choose,
    chosen_step,
    forget,
    is_over,
    judged_folder,
    ranked,
    read_judged,
)
from .judging import CheckpointJudge, Judging
from .loop import fit, validate, validation_path
from .prepare import make_accelerator, prepare, resume, with_resolved_precision
from .run import Run


def train_concept(
    folder: Path,
    settings: Settings,
    *,
    into: Path | None = None,
    judge: CheckpointJudge | None = None,
    progress: Report | None = None,
    restart: bool = False,
    restarted: Callable[[], None] = lambda: None,
) -> Path:
    """Train the concept in `folder` and return the path of its `edlora.safetensors`.

    All is written to `into`, the folder itself without it, work files to `.training` there. A run
    that was cut off goes on; a finished one returns at once, or goes on when `train.steps` grew.
    `judge` judges checkpoints where settings want it; `progress` (done, in all, what) shows it in
    place of the bar; `restart` forgets earlier work, `restarted` is called once it is gone.

    Raises InputError for folder, settings or base that cannot be used or are another run's,
    SmaltiError when the run fails, KeyboardInterrupt when it was stopped; what was done is saved.
    """
    concept = load_concept(folder, settings.train.class_word)
    target = into or concept.folder
    work, out = prepared_folders(target)
    earlier = None if restart else earlier_work(work)
    settings = with_resolved_precision(with_class_word(settings, concept), earlier)
    accelerator = make_accelerator(settings.train)
    main = accelerator.is_main_process
    tell = say if main and progress is None else _tell_nobody
    judging = _judging(judge, concept, settings)
    for warning in concept.warnings:
        tell(f"Note: {warning}")
    if earlier and is_finished(earlier, concept, settings, accelerator.num_processes, target):
        tell(_finished_message(concept.name, earlier.steps))
        return out
    with reporting(progress if main else silent, concept.name, "it") as report:
        run = prepare(concept, settings, accelerator, work, report, tell)
        take_up(run, settings, work, restarted if restart else None)
        fit(run, work, report, tell, judging)
    finish(run, concept, settings, out)
    return out


def prepared_folders(target: Path) -> tuple[Path, Path]:
    """Work folder and adapter of a training that writes to `target`; checked and swept."""
    work = target / WORK_FOLDER
    ensure_writable(work)
    sweep(target, work, *work.glob("*/"))
    return work, target / ADAPTER_FILE


def _judging(
    judge: CheckpointJudge | None, concept: Concept, settings: Settings
) -> Judging | None:
    if settings.train.judge_every is None:
        return None
    if judge is None:
        raise InputError("train.judge_every is set, but nothing judges here. Leave it out.")
    return Judging(
        judge, settings.mosaic.sampler, lambda run: adapter_metadata(run, concept, settings)
    )


def take_up(
    run: Run, settings: Settings, work: Path, restarted: Callable[[], None] | None
) -> None:
    """Go on from the latest checkpoint; with `restarted`, remove all first and call it."""
    if restarted and run.is_main:  # not before: what can fail has not
        forget(work)
        restarted()
    run.accelerator.wait_for_everyone()
    resume(run, work, load_latest(work))
    if run.is_main:
        save_settings(settings, work / "settings.toml")


def is_finished(
    earlier: EarlierWork, concept: Concept, settings: Settings, processes: int, target: Path
) -> bool:
    """Say whether the run that lies in `target` is whole, its adapter included.

    Raises InputError when it was begun with other settings, images or weights.
    """
    work, judged = target / WORK_FOLDER, read_judged(target / WORK_FOLDER)
    patience = settings.train.patience if settings.train.judge_every else None
    done = earlier.steps >= settings.train.steps or is_over(judged, patience)
    # Going on loads the base, and compares it then.
    fingerprint = present_fingerprint(settings.base) if done else None
    now = identity_of(concept, settings, fingerprint or earlier.identity["base"], processes)
    check_goes_on(work, earlier.identity, now)
    steps = chosen_step(work, earlier.steps) or earlier.steps
    return done and holds_steps(target / ADAPTER_FILE, steps)


def holds_steps(path: Path, steps: int) -> bool:
    """Say whether the adapter's file is whole and that of `steps` steps, not of an earlier run."""
    try:
        return path.is_file() and read_metadata(path).get("steps") == steps
    except InputError:
        return False


def finish(run: Run, concept: Concept, settings: Settings, out: Path) -> None:
    """Write the adapter, the best where some were judged, and the last validation grid."""
    if run.is_main:
        work = out.parent / WORK_FOLDER
        validate(run, validation_path(work, run.step), out.parent / "validation.png")
        judged = read_judged(work) if settings.train.judge_every else []
        if judged:
            choose(work, out, ranked(judged)[0].step, run.step)
        else:
            remove(judged_folder(work) / CHOSEN)
            save_adapter(run.base, run.adapter, out, adapter_metadata(run, concept, settings))
    run.accelerator.wait_for_everyone()


def adapter_metadata(run: Run, concept: Concept, settings: Settings) -> dict[str, Any]:
    """Return what the adapter's file says about its training, beside what is always there."""
    return {
        "steps": run.step,
        "images": len(concept.images),
        "training": settings.train.record(),
        "data": run.data.digest,
    }


def _tell_nobody(text: str) -> None:
    """What `say` is while somebody else shows the progress."""


def _finished_message(name: str, steps: int) -> str:
    return (
        f"{name} is trained already ({steps} steps). To go on, give more, such as "
        f"--set train.steps={2 * steps}; to begin anew, give --restart."
    )
