"""A worker of a cluster: an actor that does orders by the code of local workers.

Its ledger is another process's (`owner`). Where no answer comes for `FENCE` seconds it ends itself,
so that nobody works in its folders by the time that its orders are given to others: locks of files
do not hold on every network share.
"""

import io
import os
import socket
import time
from collections.abc import Callable
from contextlib import redirect_stderr, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...configs.errors import SmaltiError
from .entry import Entry
from .folder import leased_folder
from .owner import FENCE, FarBoard, FarLeases
from .splitting import Helping, Splitting
from .work import Desk
from .worker import Station, Told, Worker

HEARD = 2.0  # seconds between heartbeats
IDLE = 1.0  # seconds between looks for an order, where there is none now
FENCED = 4  # exit code
SLOW = 15.0  # seconds that a share may take to show what another machine wrote


@dataclass(frozen=True)
class Post:
    """Where a worker works, as plain data."""

    station: Station
    number: int
    """Of its place, from 0."""
    folder: Path
    """The command's working folder, from which relative paths in settings start."""
    threads: int
    """Of the processor."""
    split: int
    """Mosaics of so many tiles are shared with other workers."""
    gpu: bool = False
    """Whether it has a GPU of its own."""


class Line:
    """What a worker says to the process that shows progress; see `Worker._tell`."""

    def __init__(self, hear: Callable[[int, Told], None], number: int) -> None:
        """hear: passes a word on without waiting."""
        self._hear, self._number = hear, number

    def send(self, told: Told) -> None:
        """Pass a word on."""
        self._hear(self._number, told)


class Said(io.TextIOBase):
    """Standard error of a worker: whole lines are passed on, progress bars of libraries are not."""

    def __init__(self, line: Line) -> None:
        """Pass on what is said."""
        self._line, self._begun = line, ""

    def write(self, text: str) -> int:
        """Take a piece of text."""
        *lines, self._begun = (self._begun + text).split("\n")
        for said in lines:
            if said.strip() and "\r" not in said:
                self._line.send(Told("said", note=said))
        return len(text)


class FarWorker(Worker):
    """A worker whose ledger and board are elsewhere."""

    def __init__(self, post: Post, ask: Callable[..., Any], tell: Callable[..., None]) -> None:
        """ask: calls a method of the owner by its name, and waits; tell: without waiting."""
        self._ask, self._post = ask, post
        leases = FarLeases(lambda *given, **named: ask("ask", *given, **named))
        line = Line(lambda *word: tell("hear", *word), post.number)
        super().__init__(post.station, line, leases)  # type: ignore[arg-type]
        self._board = FarBoard(lambda *given: ask("ask_board", *given))
        self._helping = Helping(self._board, self._name)

    def run(self) -> None:
        """Say that we are here, then as every worker."""
        self._ask("arrive", self._post.number, self._name, socket.gethostname())
        with redirect_stderr(Said(self._pipe)):
            super().run()

    def desk(self) -> Desk:
        """A desk without locks, whose mosaics others help with."""
        desk = super().desk()
        desk.own = leased_folder
        desk.drawer = Splitting(
            self._board, self._name, self._post.split, lambda: self._present, self._check_stop
        )
        return desk

    def help(self, desk: Desk) -> bool:
        """Draw a share of another worker's mosaic."""
        found = self._board.help(self._name)
        if found is None:
            return False
        entry = self._leases.entry(found.offer.reference)
        self._present, self._work = entry.reference, entry.work
        self._helping(desk, found)
        return True

    def rest(self) -> None:
        """Ask less often than on one machine."""
        time.sleep(IDLE)

    def _take(self, desk: Desk, entry: Entry) -> None:
        self._helping.forget()
        super()._take(desk, entry)

    def _check_stop(self) -> None:
        if self._stopping:
            raise KeyboardInterrupt

    def _beat(self) -> None:
        """Be heard, and hear whether to stop; end where nobody answers."""
        heard = time.monotonic()
        while True:
            sent = time.monotonic()
            with suppress(Exception):  # no answer yet
                if self._ask("beat", self._name, within=max(0.1, heard + FENCE - sent)):
                    self.stop()
                heard = sent
            if time.monotonic() - heard >= FENCE:
                os._exit(FENCED)
            time.sleep(HEARD)


class Hand:
    """The actor; Ray starts it again, here or on another machine, when it dies."""

    def __init__(self, post: Post) -> None:
        """Work at a post."""
        os.environ["OMP_NUM_THREADS"] = str(post.threads)  # before torch is imported
        with suppress(OSError):
            os.chdir(post.folder)
        self._post, self._owner = post, None

    def sees(self, token: Path, text: str) -> str:
        """This machine's name where it sees what the first one wrote, and answers beside it."""
        until = time.monotonic() + SLOW
        while time.monotonic() < until:
            with suppress(OSError):
                if token.read_text() == text:
                    token.with_name(f"{token.name}.{self._post.number}").write_text(text)
                    return socket.gethostname()
            time.sleep(0.2)
        raise SmaltiError(socket.gethostname())

    def work(self, owner: Any) -> None:
        """Work until all is done, or until we are told to stop; owner: the ledger's, an actor."""
        self._owner = owner
        worker = FarWorker(self._post, self._ask, self._tell)
        with suppress(KeyboardInterrupt):
            worker.run()

    def _ask(self, method: str, *given: Any, within: float | None = None, **named: Any) -> Any:
        import ray
        from ray.exceptions import RayActorError, RayTaskError

        options = {"concurrency_group": "beats"} if method == "beat" else {}
        if given[0] == "record":  # added up twice is worse than not at all
            options["max_task_retries"] = 0
        try:
            asked = getattr(self._owner, method).options(**options).remote(*given, **named)
            return ray.get(asked, timeout=within)
        except RayTaskError as error:
            raise error.cause from None
        except RayActorError as error:
            if given[0] == "record":
                return None
            raise SmaltiError(f"The process that owns the ledger is gone ({error}).") from error

    def _tell(self, method: str, *given: Any) -> None:
        getattr(self._owner, method).remote(*given)
