"""The workers of a machine: started, watched, restarted when they die, and stopped."""

import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from multiprocessing import get_context
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any

from ...configs.errors import SmaltiError
from ...configs.progress import say
from ...models.cost import expected_device
from .display import Display, shown
from .folder import clear
from .leases import Leases
from .ledger import FILE, Ledger
from .names import is_dead
from .states import FAILED
from .worker import Station, serve

TICK = 0.25  # seconds
BACKOFF, LONGEST = 0.5, 30.0  # seconds before a dead worker is restarted, doubled each time
MAX_DEATHS = 6  # in a row, without an order that ended
STOPPING = "orders: the present tiles are finished; once more ends at once"


@dataclass
class Place:
    """A worker's place, in which one process follows another."""

    station: Station
    process: Any = None
    pipe: Connection | None = None
    deaths: int = 0
    """In a row."""
    starts_at: float = 0.0
    asked: bool = False
    """Whether it was told to stop."""
    ended: bool = False
    """Whether it went home: all was done, or it was told to."""


def run_pool(
    root: Path,
    *,
    workers: int | None = None,
    endless: bool = False,
    tick: Callable[[], None] = lambda: None,
) -> dict[str, int]:
    """Work on the orders of the ledger in `root` until all that can be done is done.

    workers: processes, None is one per GPU, else one. endless: wait for more orders until stopped.
    tick: called a few times a second, such as to look for new ones. Returns how many orders are in
    each state. Raises KeyboardInterrupt when it was stopped, SmaltiError when nothing can be
    written any more or workers die again and again; the same call goes on.
    """
    ledger = Ledger(root / FILE)
    try:
        bury_dead(ledger)
        with shown(ledger) as display:
            _Pool(ledger, stations(root, workers, endless), display, tick).run()
        return ledger.counts()
    finally:
        ledger.close()


def stations(root: Path, workers: int | None, endless: bool) -> list[Station]:
    """A station for each worker; GPUs are dealt out in turn."""
    gpus = _gpus()
    count = workers or max(1, gpus)
    gpu = [number % gpus if gpus > 1 else None for number in range(count)]
    return [Station(root.absolute(), count, gpu[number], endless) for number in range(count)]


def _gpus() -> int:
    if expected_device() != "cuda":
        return 0
    import torch

    return torch.cuda.device_count()


class _Pool:
    def __init__(
        self, ledger: Ledger, posts: list[Station], display: Display, tick: Callable[[], None]
    ) -> None:
        self._ledger, self._display, self._tick = ledger, display, tick
        self._places = [Place(station) for station in posts]
        self._stopping, self._stuck = 0, ""

    def run(self) -> None:
        with heeding(self._ask):
            try:
                while not all(place.ended for place in self._places):
                    self._start_due()
                    self._listen()
                    self._bury()
                    if not (self._stopping or self._stuck):
                        self._tick()
                    self._display.update()
            finally:
                self._end()
        say_end(self._stuck, self._stopping)

    def _ask(self) -> None:
        self._stopping += 1

    def _start_due(self) -> None:
        for place in self._places:
            idle = place.process is None and not place.ended
            if idle and (self._stopping or self._stuck):
                place.ended = True
            elif idle and time.monotonic() >= place.starts_at:
                self._start(place)

    def _start(self, place: Place) -> None:
        context = get_context("spawn")
        place.pipe, other = context.Pipe(duplex=False)
        place.process = context.Process(target=serve, args=(place.station, other), daemon=True)
        with _deaf():
            place.process.start()
        other.close()

    def _listen(self) -> None:
        """Hear what workers say, for a tick at most; pass on that they are to stop."""
        pipes = {place.pipe: place for place in self._places if place.pipe}
        for pipe in wait(list(pipes), TICK) if pipes else ():
            self._hear(pipes[pipe])
        if not pipes:
            time.sleep(TICK)
        if self._stopping or self._stuck:
            self._ask_to_stop()

    def _hear(self, place: Place) -> None:
        """One word of a worker; a pipe that has ended is closed."""
        assert place.pipe is not None
        try:
            told = place.pipe.recv()
        except (EOFError, OSError):
            place.pipe.close()
            place.pipe = None
            return
        if told.what == "ended":
            place.deaths = 0
        if told.what == "stuck":
            self._stuck = told.note
        self._display.hear(self._places.index(place), told)

    def _ask_to_stop(self) -> None:
        if self._stopping and not any(place.asked for place in self._places):
            say(STOPPING)
        for place in self._places:
            if place.process is not None and place.process.is_alive():
                if self._stopping > 1:
                    place.process.kill()
                elif not place.asked:
                    place.process.terminate()
                place.asked = True

    def _bury(self) -> None:
        """Take the orders of dead workers back, and say when their places start again."""
        for place in self._places:
            if place.process is None or place.process.is_alive() or place.pipe is not None:
                continue
            code, place.process = place.process.exitcode, None
            with suppress(SmaltiError):
                bury_dead(self._ledger)
            if code == 0 or place.asked:
                place.ended = True
                continue
            place.deaths += 1
            place.starts_at = time.monotonic() + min(LONGEST, BACKOFF * 2 ** (place.deaths - 1))
            if place.deaths >= MAX_DEATHS:
                self._give_up(place, code)

    def _give_up(self, place: Place, code: int) -> None:
        """Do without a place in which workers only die, such as one of a broken GPU."""
        place.ended = True
        told = f"Workers die again and again (exit code {code}); see above."
        waited = place.station.endless or Leases(self._ledger).has_work()
        if waited and all(other.ended for other in self._places):
            self._stuck = told
        else:
            say(f"orders: worker {self._places.index(place) + 1} is given up. {told}")

    def _end(self) -> None:
        """Wait for every process that is left; whatever happens here, none outlives us."""
        for place in self._places:
            if place.pipe is not None:
                place.pipe.close()
            if place.process is not None:
                place.process.kill()  # only after an error of ours; what it had done is kept
                place.process.join()


@contextmanager
def heeding(ask: Callable[[], None]) -> Iterator[None]:
    """Ctrl-C and SIGTERM are told, and end nothing: the first lets workers finish their tiles."""

    def hear(number: int, frame: Any) -> None:
        ask()

    old = {number: signal.signal(number, hear) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in old.items():
            signal.signal(number, handler)


@contextmanager
def _deaf() -> Iterator[None]:
    """Let no Ctrl-C through: a process that is started here hears none, we hear it afterwards."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    old = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, old)


def say_end(stuck: str, stopping: int) -> None:
    """Raise what a day ends with that was not done: SmaltiError or KeyboardInterrupt."""
    if stuck:
        raise SmaltiError(stuck)
    if stopping:
        raise KeyboardInterrupt


def bury_dead(ledger: Ledger) -> None:
    """Free the orders of workers that are dead, and clear up after those that fail with them."""
    for reference in Leases(ledger).bury(is_dead):
        entry = ledger.entry(reference)
        if entry.state == FAILED:
            clear(entry)
