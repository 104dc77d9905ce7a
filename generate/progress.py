"""One overall progress bar of a mosaic, with the time that is left."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

Report = Callable[[int, int, str], None]
"""Told after every step: (units done, units in all, what is being done)."""


@contextmanager
def reporting(progress: Report | None, title: str) -> Iterator[Report]:
    """The caller's own display, or else a bar on standard error (plain lines off a terminal)."""
    console = Console(stderr=True)
    if progress is not None:
        yield progress
    elif console.is_terminal:
        with _bar(console) as bar:
            yield _on_bar(bar, title)
    else:
        yield _lines(console, title)


def _bar(console: Console) -> Progress:
    return Progress(
        TextColumn("[bold]{task.description}"),
        BarColumn(),
        TextColumn("{task.percentage:>3.0f} %  {task.fields[note]}"),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
        console=console,
    )


def _on_bar(bar: Progress, title: str) -> Report:
    task = bar.add_task(title, total=None, note="")

    def report(done: int, total: int, note: str) -> None:
        if total != bar.tasks[task].total:  # what a restarted run finds done is no speed
            bar.reset(task, total=total, completed=done)
        bar.update(task, completed=done, note=note)

    return report


def _lines(console: Console, title: str) -> Report:
    """One line per tenth of the work."""
    began, first, size, shown = 0.0, 0, 0, -1

    def report(done: int, total: int, note: str) -> None:
        nonlocal began, first, size, shown
        if total != size:
            began, first, size, shown = time.monotonic(), done, total, -1
        tenth = 10 * done // max(total, 1)
        if tenth <= shown:
            return
        shown = tenth
        rate = (done - first) / max(time.monotonic() - began, 1e-9)
        left = f", {(total - done) / rate:.0f} s left" if rate > 0 else ""
        console.print(f"{title}: {10 * tenth} %, {note}{left}", markup=False, soft_wrap=True)

    return report
