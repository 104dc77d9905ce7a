"""One display of progress for every long run: a bar on a terminal, plain lines anywhere else.

A stage knows no display. It calls `report(done, total, note)`, and `reporting` decides who listens:
the caller, such as a page in the browser, or the person at the terminal. Both displays write to
standard error, as standard output is for results.
"""

import sys
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

Report = Callable[[int, int, str], None]
"""Told after every step: (units done, units in all, what is being done)."""

WINDOW = 200
"""The latest reports, of which the speed is the mean: pauses that recur are in it."""


def silent(done: int, total: int, note: str) -> None:
    """A report that nobody sees."""


def say(text: str) -> None:
    """Print a line on standard error; above the bar, where there is one."""
    print(text, file=sys.stderr, flush=True)


@contextmanager
def reporting(
    progress: Report | None, title: str, unit: str = "", above: Callable[[], Any] | None = None
) -> Iterator[Report]:
    """The caller's own display, or else one on standard error.

    unit: what a user counts the work in, such as "it"; without one it is shown in per cent. above:
    what rich is to print above the bar, asked anew at every refresh.
    """
    if progress is not None:
        yield progress
    elif sys.stderr.isatty():
        with _bar(above) as bar:
            yield _on_bar(bar, title, unit)
    else:
        yield _lines(title, unit)


class Pace:
    """Speed of a piece of work, from what is reported of it.

    What was done before the first report, such as by an earlier run, is no speed; a new total, or
    less done than before, begins a new piece of work.
    """

    def __init__(self) -> None:
        self._seen: deque[tuple[float, int]] = deque(maxlen=WINDOW)
        self.total = 0

    def hear(self, done: int, total: int) -> bool:
        """Take note of a report; returns whether it begins a new piece of work."""
        new = total != self.total or not self._seen or done < self._seen[-1][1]
        if new:
            self._seen.clear()
            self.total = total
        self._seen.append((time.monotonic(), done))
        return new

    @property
    def rate(self) -> float:
        """Units per second, 0 where nothing is known yet."""
        (began, first), (now, done) = self._seen[0], self._seen[-1]
        return (done - first) / max(now - began, 1e-9)

    def facts(self, unit: str) -> list[str]:
        """Speed, where units are counted, and time left, as far as they are known."""
        if self.rate <= 0:
            return []
        left = duration((self.total - self._seen[-1][1]) / self.rate)
        return [*([f"{self.rate:.2f} {unit}/s"] if unit else []), f"{left} left"]


def duration(seconds: float) -> str:
    """A time in the unit that makes it a number of two or three digits: "58 s", "12 min"."""
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"


def _amount(done: int, total: int, unit: str) -> str:
    return f"{done}/{total}" if unit else f"{100 * done // max(total, 1)} %"


def _bar(above: Callable[[], Any] | None) -> Any:
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    class Display(Progress):
        def get_renderables(self) -> Iterator[Any]:
            if above:
                yield above()
            yield self.make_tasks_table(self.tasks)

    return Display(
        TextColumn("[bold]{task.description}"),
        BarColumn(),
        TextColumn("{task.fields[text]}", markup=False),
        TimeElapsedColumn(),
        console=Console(stderr=True),
        refresh_per_second=2 if above else 10,
    )


def _on_bar(bar: Any, title: str, unit: str) -> Report:
    task, pace = bar.add_task(title, total=None, text=""), Pace()

    def report(done: int, total: int, note: str) -> None:
        if pace.hear(done, total):
            bar.reset(task, total=total, completed=done)
        parts = [_amount(done, total, unit), note, *pace.facts(unit)]
        bar.update(task, completed=done, text="  ".join(filter(None, parts)))

    return report


def _lines(title: str, unit: str) -> Report:
    """One line per tenth of the work."""
    pace, shown = Pace(), -1

    def report(done: int, total: int, note: str) -> None:
        nonlocal shown
        if pace.hear(done, total):
            shown = -1
        tenth = 10 * done // max(total, 1)
        if tenth > shown:
            shown = tenth
            parts = [_amount(done, total, unit), note, *pace.facts(unit)]
            say(f"{title}: {', '.join(filter(None, parts))}")

    return report
