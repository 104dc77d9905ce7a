"""Progress of a run: one bar over all orders, and one line per worker with its present order."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Protocol

from ...configs.progress import Pace, say
from .ledger import Ledger
from .states import CLOSED, FAILED, PROOF
from .worker import Told

EVERY = 1.0  # seconds between looks into the ledger


class Display(Protocol):
    """What shows how far a run is."""

    def hear(self, worker: int, told: Told) -> None:
        """Take note of a worker's word."""

    def update(self) -> None:
        """Look at the ledger, now and then."""


class Count:
    """How many orders are closed, and when the others will be, at the pace that was measured."""

    def __init__(self, ledger: Ledger) -> None:
        """Count the orders of a ledger."""
        self._ledger, self._pace, self._looked = ledger, Pace(), 0.0
        self.closed = self.total = self.failed = 0

    def look(self, *, at_once: bool = False) -> bool:
        """Count anew, unless that was done a moment ago; returns whether anything changed."""
        now, before = time.monotonic(), (self.closed, self.total)
        if now - self._looked < EVERY and not at_once:
            return False
        self._looked = now
        counts = self._ledger.counts()
        self.total, self.failed = sum(counts.values()), counts.get(FAILED, 0)
        self.closed = sum(counts.get(state, 0) for state in CLOSED)
        if (self.closed, self.total) == before:
            return False
        self._pace.hear(self.closed, self.total)
        return True

    @property
    def text(self) -> str:
        """Closed of all, what failed, and the time that is left."""
        failed = f"{self.failed} failed" if self.failed else ""
        left = self._pace.facts("") if self.total else []
        return "  ".join(filter(None, (f"{self.closed}/{self.total}", failed, *left)))


class Lines:
    """A line for each order that ended, for anything that is no terminal."""

    def __init__(self, ledger: Ledger) -> None:
        """Show the orders of a ledger."""
        self._ledger, self._count = ledger, Count(ledger)

    def hear(self, worker: int, told: Told) -> None:
        """Say a line where an order ended, waits for a word, or could not go on."""
        if told.what == "ended":
            self._count.look(at_once=True)
            reason = self._ledger.entry(told.reference).reason
            if not reason and told.note not in (*CLOSED, PROOF):
                return  # stopped by hand
            why = f" ({reason})" if reason else ""
            say(f"orders: {self._count.text}  {told.reference} {told.note}{why}")

    def update(self) -> None:
        """Nothing happens between the lines."""


class Bars:
    """Bars on a terminal."""

    def __init__(self, ledger: Ledger, progress: Any) -> None:
        """Show the orders of a ledger in rich's progress display."""
        self._count, self._progress = Count(ledger), progress
        self._all = progress.add_task("orders", total=None, text="")
        self._tasks: dict[int, Any] = {}

    def hear(self, worker: int, told: Told) -> None:
        """Show what a worker does."""
        if worker not in self._tasks:
            self._tasks[worker] = self._progress.add_task(f"worker {worker + 1}", text="")
        task = self._tasks[worker]
        done = 0 if told.what == "began" else told.done
        self._progress.update(
            task, completed=done, total=max(1, told.total), text=f"{told.reference}  {told.note}"
        )

    def update(self) -> None:
        """Look at the ledger."""
        if self._count.look():
            self._progress.update(
                self._all, completed=self._count.closed, total=self._count.total,
                text=self._count.text,
            )  # fmt: skip


@contextmanager
def shown(ledger: Ledger) -> Iterator[Display]:
    """Bars on a terminal, lines anywhere else; both on standard error."""
    if not sys.stderr.isatty():
        yield Lines(ledger)
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (TextColumn("[bold]{task.description}"), BarColumn(),
               TextColumn("{task.fields[text]}", markup=False), TimeElapsedColumn())  # fmt: skip
    with Progress(*columns, console=Console(stderr=True)) as progress:
        yield Bars(ledger, progress)
