"""What a run reports: one progress bar, a JSONL log and TensorBoard scalars."""

import json
import sys
import time
from collections import deque
from collections.abc import Callable, Mapping
from pathlib import Path
from statistics import median
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from ..configs.files import remove

# (steps done, steps in all, running loss): what a caller's own display is told after every step.
ProgressCallback = Callable[[int, int, float], None]
# Weight of the past in the displayed loss: single steps jump by a factor of ten with the timestep.
SMOOTHING = 0.95


class TrainingBar:
    """One progress bar with loss, it/s and ETA; off a terminal, a plain line at every tenth."""

    def __init__(
        self,
        name: str,
        total: int,
        start: int = 0,
        *,
        console: Console | None = None,
        visible: bool = True,
    ) -> None:
        """Prepare a bar over `total` steps, `start` of them done; invisible, it prints nothing."""
        self.console = console or Console(stderr=True)
        self.name, self.total, self.start = name, total, start
        self.visible = visible
        self.loss: float | None = None
        self._before: float | None = None
        self._intervals: deque[float] = deque(maxlen=50)
        self._bar: Progress | None = None

    def __enter__(self) -> Self:
        """Show the bar."""
        if self.visible and self.console.is_terminal:
            self._bar = Progress(
                TextColumn("[bold]{task.description}"),
                BarColumn(),
                TextColumn("{task.completed:.0f}/{task.total:.0f}  {task.fields[note]}"),
                TimeElapsedColumn(),
                TextColumn("left"),
                TimeRemainingColumn(),
                console=self.console,
            )
            self._task = self._bar.add_task(
                self.name, total=self.total, completed=self.start, note=""
            )
            self._bar.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Leave the bar on the screen as it is."""
        if self._bar:
            self._bar.stop()

    def update(self, step: int, loss: float) -> None:
        """Show that `step` steps are done, and smooth the loss into the running one."""
        self.loss = loss if self.loss is None else SMOOTHING * self.loss + (1 - SMOOTHING) * loss
        rate = self._rate()
        note = f"loss {self.loss:.4f}" + (f"  {rate:.2f} it/s" if rate else "")
        if self._bar:
            self._bar.update(self._task, completed=step, note=note)
        elif self.visible and (step == self.total or step % max(1, self.total // 10) == 0):
            left = f"  {(self.total - step) / rate:.0f} s left" if rate else ""
            self._print(f"{self.name} {step}/{self.total}  {note}{left}")

    def _rate(self) -> float:
        """Steps per second; the median leaves out pauses for validation and checkpoints."""
        now = time.monotonic()
        if self._before is not None:
            self._intervals.append(now - self._before)
        self._before = now
        return 1 / max(median(self._intervals), 1e-9) if self._intervals else 0.0

    def note(self, text: str) -> None:
        """Print a line above the bar."""
        if self.visible:
            self._print(text)

    def _print(self, text: str) -> None:
        self.console.print(text, markup=False, highlight=False, soft_wrap=True)


class RunLog:
    """Scalars of every step in `log.jsonl` and in TensorBoard's format under `tensorboard/`."""

    def __init__(self, folder: Path, step: int) -> None:
        """Open the logs in `folder` to go on after `step`; lines of later steps are dropped."""
        from torch.utils.tensorboard import SummaryWriter

        self._path = folder / "log.jsonl"
        folder.mkdir(parents=True, exist_ok=True)
        self._path.write_text("".join(self._lines_until(step)))
        self._file = self._path.open("a", encoding="utf-8")
        if step == 0:
            remove(folder / "tensorboard")
        self._board = SummaryWriter(folder / "tensorboard", purge_step=step + 1 if step else None)

    def _lines_until(self, step: int) -> list[str]:
        kept = []
        for line in (
            self._path.read_text().splitlines(keepends=True) if step and self._path.exists() else []
        ):
            try:
                if json.loads(line)["step"] <= step:
                    kept.append(line)
            except (ValueError, KeyError):  # cut off by a kill
                continue
        return kept

    def write(self, step: int, values: Mapping[str, float]) -> None:
        """Log the values of a step."""
        self._file.write(json.dumps({"step": step, **values}) + "\n")
        for key, value in values.items():
            self._board.add_scalar(key, value, step)

    def flush(self) -> None:
        """Put everything on disk."""
        self._file.flush()
        self._board.flush()

    def close(self) -> None:
        """Close both logs."""
        self._file.close()
        self._board.close()


def say(text: str) -> None:
    """Print a line on standard error, where the bar is: standard output is for results."""
    Console(file=sys.stderr).print(text, markup=False, highlight=False, soft_wrap=True)
