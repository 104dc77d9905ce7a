"""Drawing in a process that keeps its engine: a draft begins at once, without loading a base.

One thing is drawn at a time. What a person waits for comes first: a tile, then a draft, then whole
mosaics; what is interrupted goes on afterwards from its store, and a new draft ends the one before.
"""

import os
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from enum import IntEnum
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...configs.errors import SmaltiError
from ...configs.settings import Settings
from ..orders.engines import Engines

if TYPE_CHECKING:
    from ...generate.engine import Engine

NICENESS = 10


class Rank(IntEnum):
    """What is drawn before what."""

    TILE = 0
    DRAFT = 1
    MOSAIC = 2


@dataclass(frozen=True)
class Drawing:
    """One mosaic, or tiles of one, to be drawn."""

    folder: Path
    settings: Settings
    concepts: Path
    rank: Rank = Rank.MOSAIC
    retile: tuple[tuple[int, int], ...] = ()


@dataclass(frozen=True)
class Progress:
    """What is known of a drawing that waits or runs."""

    done: int = 0
    total: int = 0
    note: str = "waiting"


class Drawer:
    """The drawing process, and what waits for it."""

    def __init__(self, announce: Callable[[], None] = lambda: None) -> None:
        """announce: called from another thread when something has changed."""
        self._announce = announce
        self._lock = threading.Lock()
        self._waiting: list[Drawing] = []
        self._current: Drawing | None = None
        self._again = False  # whether what is interrupted goes back into the queue
        self._progress = Progress()
        self._faults: dict[Path, str] = {}
        self._context = get_context("spawn")
        self._stop = self._context.Event()
        self._pipe: Connection | None = None
        self._process: Any = None
        self._closed = False

    def warm(self, settings: Settings) -> None:
        """Start the process, and let it load a base before anybody waits for it."""
        with self._lock:
            self._open()
            assert self._pipe is not None
            self._pipe.send(("warm", settings))

    def submit(self, drawing: Drawing) -> None:
        """Draw this as soon as nothing of a higher rank is left."""
        with self._lock:
            self._faults.pop(drawing.folder, None)
            fresh = drawing.rank is Rank.DRAFT
            self._waiting = [
                w for w in self._waiting
                if (w.folder, w.retile) != (drawing.folder, drawing.retile)
                and not (fresh and w.rank is Rank.DRAFT)
            ]  # fmt: skip
            self._waiting.append(drawing)
            self._make_way(drawing)
            self._next()

    def _make_way(self, drawing: Drawing) -> None:
        """Interrupt what is drawn for something more urgent; an older draft for good."""
        now = self._current
        if now is None or now == drawing:
            return
        older_draft = drawing.rank is Rank.DRAFT and now.rank is Rank.DRAFT
        if drawing.rank < now.rank or older_draft:
            self._again = not older_draft
            self._stop.set()

    def cancel(self, folder: Path) -> None:
        """Draw nothing more of a folder; what is drawn of it stays."""
        with self._lock:
            self._waiting = [w for w in self._waiting if w.folder != folder]
            if self._current is not None and self._current.folder == folder:
                self._again = False
                self._stop.set()

    def state(self, folder: Path) -> Progress | None:
        """How far a folder's drawing is, None when nothing of it runs or waits."""
        with self._lock:
            if self._current is not None and self._current.folder == folder:
                return self._progress
            return Progress() if any(w.folder == folder for w in self._waiting) else None

    def fault(self, folder: Path) -> str:
        """Why a folder's latest drawing failed, empty where it did not."""
        return self._faults.get(folder, "")

    def close(self) -> None:
        """Stop between two steps, and end the process."""
        with self._lock:
            self._closed, self._waiting, self._again = True, [], False
            self._stop.set()
            pipe, process = self._pipe, self._process
        if pipe is not None:
            with suppress(OSError):
                pipe.send(None)
            process.join(10)
            if process.is_alive():
                process.kill()

    def _open(self) -> None:
        """Start the process unless it is there; the lock is held."""
        if self._process is not None and self._process.is_alive():
            return
        self._pipe, other = self._context.Pipe()
        self._process = self._context.Process(target=_serve, args=(other, self._stop), daemon=True)
        self._process.start()
        other.close()
        threading.Thread(target=self._listen, args=(self._pipe,), daemon=True).start()

    def _next(self) -> None:
        """Hand the process the most urgent drawing if it has none; the lock is held."""
        if self._current is not None or not self._waiting or self._closed:
            return
        self._open()
        assert self._pipe is not None
        drawing = min(self._waiting, key=lambda waiting: waiting.rank)
        self._waiting.remove(drawing)
        self._current, self._progress = drawing, replace(Progress(), note="beginning")
        self._stop.clear()
        self._pipe.send(("draw", drawing))

    def _listen(self, pipe: Connection) -> None:
        """What the process says, until it ends."""
        while True:
            try:
                kind, value = pipe.recv()
            except (EOFError, OSError):
                self._over("failed", "The process that drew has ended, perhaps for want of memory.")
                return
            if kind == "progress":
                self._progress = Progress(*value)
                self._announce()
            else:
                self._over(kind, value)

    def _over(self, kind: str, text: str) -> None:
        with self._lock:
            now, self._current = self._current, None
            if now is not None and kind == "failed":
                self._faults[now.folder] = text
            if now is not None and kind == "stopped" and self._again:
                self._waiting.append(now)
            self._next()
        self._announce()


def _serve(pipe: Connection, stop: Any) -> None:
    """The drawing process: one engine, changed when another base is asked for."""
    import signal

    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the server decides when it ends
    with suppress(OSError, AttributeError):
        os.nice(NICENESS)
    engines = Engines()
    while True:
        try:
            asked = pipe.recv()
        except EOFError:
            return
        if asked is None:
            return
        kind, what = asked
        try:
            if kind == "warm":
                engines.of(what)
            else:
                _draw(engines.of(what.settings, what.folder), what, pipe, stop)
        except KeyboardInterrupt:
            pipe.send(("stopped", ""))
        except (SmaltiError, OSError, MemoryError) as error:
            if kind == "draw":
                pipe.send(("failed", str(error)))
        else:
            if kind == "draw":
                pipe.send(("done", ""))


def _draw(engine: "Engine", drawing: Drawing, pipe: Connection, stop: Any) -> None:
    from ...generate.mosaic import generate_mosaic

    def report(done: int, total: int, note: str) -> None:
        if stop.is_set():
            raise KeyboardInterrupt
        pipe.send(("progress", (done, total, note)))

    generate_mosaic(
        drawing.settings, drawing.folder, concepts_dir=drawing.concepts, progress=report,
        retile=drawing.retile or None, engine=engine,
    )  # fmt: skip
