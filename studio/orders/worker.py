"""A worker: a process with one engine, which takes one order after the other."""

import os
import signal
import threading
import time
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing import parent_process
from multiprocessing.connection import Connection
from pathlib import Path

from ...configs.errors import SmaltiError
from .attempt import attempt
from .energy import Meter
from .entry import Entry
from .leases import Leases
from .ledger import FILE, Ledger
from .names import leave_group, worker_name
from .terms import kin_of
from .work import Desk

BEAT = 5.0  # seconds between heartbeats
POLL = 0.3  # seconds between looks for an order, where there is none now
TOLD_EVERY = 0.2  # seconds between reports to the first process
ORPHANED = 3  # exit code
DRAWING = "drawing tiles"


@dataclass(frozen=True)
class Station:
    """What a worker is started with, as plain data."""

    root: Path
    """The folder of the ledger."""
    workers: int = 1
    """How many share the machine."""
    gpu: int | None = None
    """The number of its GPU, None where it takes what there is."""
    endless: bool = False
    """Whether it waits for more orders when all are done."""


@dataclass
class Told:
    """What a worker says to the process that started it."""

    what: str
    """"began", "at", "ended" or "stuck" (nothing can be written).

    In a cluster also "said" (a line for people), and "arrived" (after one that died in its place).
    """
    reference: str = ""
    note: str = ""
    """What is being done; the state that the order ended in; why it is stuck."""
    done: int = 0
    total: int = 1


def serve(station: Station, pipe: Connection) -> None:
    """Work until all is done; the entry point of the process.

    SIGTERM lets the present tile finish. Killed at any moment, it leaves what others go on with.
    """
    leave_group()
    _choose_processor(station)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    worker = Worker(station, pipe)
    signal.signal(signal.SIGTERM, lambda number, frame: worker.stop())
    with suppress(KeyboardInterrupt):
        worker.run()


def _choose_processor(station: Station) -> None:
    """Give the worker its GPU, or its share of the cores; before torch is imported."""
    if station.gpu is not None:
        shown = os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",")
        own = shown[station.gpu] if station.gpu < len(shown) else ""
        os.environ["CUDA_VISIBLE_DEVICES"] = own or str(station.gpu)
    elif station.workers > 1:
        share = max(1, (os.cpu_count() or 1) // station.workers)
        os.environ.setdefault("OMP_NUM_THREADS", str(share))


def _end_with_parent() -> None:
    """Nobody would show or restart an orphan; what it has done is kept."""
    parent = parent_process()
    if parent is not None:
        parent.join()
        os._exit(ORPHANED)


class Worker:
    """Takes orders until there are none, or until it is asked to stop."""

    def __init__(self, station: Station, pipe: Connection, leases: Leases | None = None) -> None:
        """Work at a station; the pipe leads to the process that shows progress.

        leases: where the ledger is another process's; without them it is opened.
        """
        self._station, self._pipe = station, pipe
        self._name, self._present = worker_name(), ""
        self._leases = leases or Leases(Ledger(station.root / FILE))
        self._stopping, self._told_at, self._work = False, 0.0, Path()
        self._tiles_then: set[tuple[str, int]] | None = None  # when we were asked to stop

    def stop(self) -> None:
        """Stop once the present tile is finished."""
        self._stopping = True

    def run(self) -> None:
        """Take orders by priority and due date, those first that need what is loaded."""
        threading.Thread(target=self._beat, daemon=True).start()
        desk, kin = self.desk(), ""
        try:
            while not self._stopping:
                if self.help(desk):
                    continue
                entry = self._leases.lease(self._name, kin=kin)
                if entry is None:
                    if not (self._station.endless or self._leases.has_work()):
                        return
                    self.rest()
                    continue
                assert entry.order is not None
                kin = kin_of(entry.order, entry.terms)
                self._take(desk, entry)
        except SmaltiError as error:  # nothing can be written, be it the ledger itself
            self._tell(Told("stuck", note=str(error)))

    def desk(self) -> Desk:
        """What it works with."""
        meter = Meter(self._station.workers)
        return Desk(self._leases, self._name, self.report, meter=meter)

    def rest(self) -> None:
        """Wait before the next look for an order."""
        time.sleep(POLL)

    def help(self, desk: Desk) -> bool:
        """Do what another worker has to give away; returns whether there was anything."""
        return False

    def _take(self, desk: Desk, entry: Entry) -> None:
        self._present, self._work = entry.reference, entry.work
        self._tell(Told("began", entry.reference, entry.state))
        try:
            attempt(desk, entry)
        finally:
            state = self._leases.entry(entry.reference).state
            self._tell(Told("ended", entry.reference, state))

    def report(self, done: int, total: int, note: str) -> None:
        """Show progress; raises KeyboardInterrupt where the worker is to stop."""
        if self._stopping and self._may_stop(note):
            raise KeyboardInterrupt
        now = time.monotonic()
        if now - self._told_at > TOLD_EVERY:
            self._told_at = now
            self._tell(Told("at", self._present, note, done, total))

    def _may_stop(self, note: str) -> bool:
        """Whether no tile is half drawn: once one was stored since we were asked to stop."""
        if note != DRAWING:
            return True
        found = self._work.glob("mosaic/tiles/*.png")
        tiles = {(path.name, path.stat().st_mtime_ns) for path in found}
        if self._tiles_then is None:
            self._tiles_then = tiles
        return bool(tiles - self._tiles_then)

    def _tell(self, told: Told) -> None:
        with suppress(OSError):  # an orphan ends anyway
            self._pipe.send(told)

    def _beat(self) -> None:
        """Say that we live, in a thread of its own, for as long as the process lives."""
        leases = Leases(Ledger(self._station.root / FILE))
        while True:
            with suppress(Exception):  # a full or busy disk: the next one may be heard
                leases.beat(self._name)
            time.sleep(BEAT)
