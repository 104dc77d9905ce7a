"""The loop over steps, and what it leaves on disk: checkpoints, logs and validation grids."""

from collections.abc import Callable, Mapping
from contextlib import nullcontext
from pathlib import Path

from ..configs.progress import Report
from ..models.edlora import adapter_state
from .checkpoint import Checkpoint, save_checkpoint
from .judging import Judging, over
from .run import Run
from .run_log import RunLog
from .step import train_step
from .stopping import agreed, stop_requests
from .validation import draw_validation, grid_labels, save_grid

# Weight of the past in the displayed loss: single steps jump by a factor of ten with the timestep.
SMOOTHING = 0.95


class RunningLoss:
    """The loss of steps, smoothed into one that can be read."""

    def __init__(self) -> None:
        self.value: float | None = None

    def add(self, loss: float) -> float:
        """Take in a step's loss and return the smoothed one."""
        past = loss if self.value is None else self.value
        self.value = SMOOTHING * past + (1 - SMOOTHING) * loss
        return self.value


def fit(
    run: Run,
    work: Path,
    report: Report,
    tell: Callable[[str], None],
    judging: Judging | None = None,
) -> None:
    """Do the remaining steps, with validation, checkpoints and logs on the main process.

    `report` is told of every step, `tell` says a line to the user. With `judging`, checkpoints are
    judged, and the run ends when it has long been over. Raises KeyboardInterrupt when the run was
    asked to stop, after its state was saved.
    """
    total, loss = run.settings.steps, RunningLoss()
    if run.step:
        tell(f"Going on after step {run.step}.")
    report(run.step, total, "")
    log_of_run = RunLog(work, run.step) if run.is_main else nullcontext()
    with run.base.casts_left_to_autocast(), stop_requests() as stop, log_of_run as log:
        ended = agreed(run, run.is_main and over(run, work))
        while run.step < total and not ended:
            values = train_step(run)
            stopping = agreed(run, stop.is_set())
            report(run.step, total, f"loss {loss.add(values['loss']):.4f}")
            due = judging if judging and judging.is_due(run) else None
            if log:
                log_step(run, work, log, values, due)
            ended = due is not None and agreed(run, run.is_main and over(run, work))
            if log:
                keep_state(run, work, log, stopping=stopping or ended)
            if stopping:
                tell(
                    f"Stopped after step {run.step}; the state is saved in {work}. "
                    "The same command goes on from there."
                )
                raise KeyboardInterrupt


def log_step(
    run: Run, work: Path, log: RunLog, values: Mapping[str, float], judging: Judging | None
) -> None:
    """Log the values of a step, and what it is worth where `judging` is given."""
    if judging is None:
        log.write(run.step, values)
        return
    log.write(run.step, {**values, **judging.values(run)})
    log.flush()
    judging.keep(run, work)


def keep_state(run: Run, work: Path, log: RunLog, *, stopping: bool) -> None:
    """Save a checkpoint and draw a validation grid where they are due."""
    last = run.step == run.settings.steps
    if last or stopping or run.step % run.settings.checkpoint_every == 0:
        log.flush()
        save_checkpoint(work, state_of(run), run.settings.keep_checkpoints)
    every = run.settings.validate_every
    if not last and not stopping and every and run.step % every == 0:
        validate(run, validation_path(work, run.step))


def state_of(run: Run) -> Checkpoint:
    """Return everything the next step depends on."""
    scaler = run.accelerator.scaler
    return Checkpoint(
        step=run.step,
        frozen_words=run.frozen_words,
        identity=run.identity,
        adapter=adapter_state(run.base, run.adapter),
        optimizer=run.optimizer.state_dict(),
        scaler=scaler.state_dict() if scaler else None,
    )


def validate(run: Run, *paths: Path) -> None:
    """Draw one validation grid and save it under every path."""
    with run.accelerator.autocast():
        images = draw_validation(run.base, run.adapter, run.settings)
    for path in paths:
        save_grid(images, grid_labels(run.settings, run.adapter), path)


def validation_path(work: Path, step: int) -> Path:
    """Where the validation grid of a step lies."""
    return work / "validation" / f"step_{step:04d}.png"
