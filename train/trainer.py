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
from .earlier import EarlierWork, checkpoint_folder, earlier_work
from .identity import check_goes_on, identity_of, present_fingerprint, with_class_word
from .loop import fit, validate, validation_path
from .prepare import make_accelerator, prepare, resume, with_resolved_precision
from .run import Run


def train_concept(
    folder: Path,
    settings: Settings,
    *,
    progress: Report | None = None,
    restart: bool = False,
    restarted: Callable[[], None] = lambda: None,
) -> Path:
    """Train the concept in `folder` and return the path of its `edlora.safetensors`.

    Work files (checkpoints, logs, validation grids, cached latents) lie in `folder/.training`. A
    run that was cut off goes on from its last checkpoint; a finished one returns at once, or goes
    on when `train.steps` has grown. An empty class word comes from concept.toml, "auto" precision
    from the run that goes on. `progress` (images or steps done, in all, what is being done) shows
    it in place of the bar. `restart` forgets earlier work; `restarted` is called once it is gone.

    Raises InputError when folder, settings or base cannot be used or are not those of the run that
    lies there, SmaltiError when the run fails, KeyboardInterrupt on Ctrl-C or SIGTERM; what was
    done is saved.
    """
    concept = load_concept(folder, settings.train.class_word)
    work, out = concept.folder / WORK_FOLDER, concept.folder / ADAPTER_FILE
    ensure_writable(work)
    sweep(concept.folder, work, *work.glob("*/"))
    earlier = None if restart else earlier_work(work)
    settings = with_resolved_precision(with_class_word(settings, concept), earlier)
    accelerator = make_accelerator(settings.train)
    main = accelerator.is_main_process
    tell = say if main and progress is None else _tell_nobody
    for warning in concept.warnings:
        tell(f"Note: {warning}")
    if earlier and is_finished(earlier, concept, settings, accelerator.num_processes):
        tell(_finished_message(concept.name, earlier.steps))
        return out
    with reporting(progress if main else silent, concept.name, "it") as report:
        run = prepare(concept, settings, accelerator, work, report, tell)
        take_up(run, settings, work, restarted if restart else None)
        fit(run, work, report, tell)
    finish(run, concept, settings, out)
    return out


def take_up(
    run: Run, settings: Settings, work: Path, restarted: Callable[[], None] | None
) -> None:
    """Go on from the latest checkpoint; with `restarted`, remove all first and call it."""
    if restarted and run.is_main:  # not before: what can fail has not
        remove(checkpoint_folder(work))
        restarted()
    run.accelerator.wait_for_everyone()
    resume(run, work, load_latest(work))
    if run.is_main:
        save_settings(settings, work / "settings.toml")


def is_finished(
    earlier: EarlierWork, concept: Concept, settings: Settings, processes: int
) -> bool:
    """Say whether the run that lies there is whole, its adapter included.

    Raises InputError when it was begun with other settings, images or weights.
    """
    done = earlier.steps >= settings.train.steps
    # Going on loads the base, and compares it then.
    fingerprint = present_fingerprint(settings.base) if done else None
    now = identity_of(concept, settings, fingerprint or earlier.identity["base"], processes)
    check_goes_on(concept.folder / WORK_FOLDER, earlier.identity, now)
    return done and holds_steps(concept.folder / ADAPTER_FILE, earlier.steps)


def holds_steps(path: Path, steps: int) -> bool:
    """Say whether the adapter's file is whole and that of `steps` steps, not of an earlier run."""
    try:
        return path.is_file() and read_metadata(path).get("steps") == steps
    except InputError:
        return False


def finish(run: Run, concept: Concept, settings: Settings, out: Path) -> None:
    """Write the adapter and the last validation grid, on the main process."""
    if run.is_main:
        work = concept.folder / WORK_FOLDER
        validate(run, validation_path(work, run.step), concept.folder / "validation.png")
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
        f"{name} is trained already ({steps} steps). To go on, give more: --steps {2 * steps}; "
        "to begin anew, give --restart."
    )
