"""The owner of a cluster's ledger: the one process that opens it, and answers all workers.

SQLite's locks do not hold on network shares, so workers of other machines never touch the file.
Nothing here needs Ray: `cluster` makes an actor of the owner.
"""

import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from .board import Board, Help, Offer
from .folder import clear_own
from .leases import Leases
from .ledger import FILE, Ledger
from .states import FAILED
from .worker import Told

FENCE = 20.0  # seconds without an answer after which a worker ends itself
GONE = 40.0  # seconds unheard after which its orders are others': it has ended itself by then
KEEP = 5.0  # seconds between notes of heartbeats in the ledger
ASKED = frozenset(
    ("lease", "has_work", "entry", "enter", "hold", "fail", "give_back", "put_off", "record",
     "reserve", "vacate", "deliver")
)  # fmt: skip
"""What workers may ask of the leases; a question is asked twice where the first answer is lost, but
for `record`, which adds up."""


class Owner:
    """Owns ledger and leases; `beat` may be called from any thread, all else from one."""

    def __init__(self, root: Path) -> None:
        """The ledger lies in `root`, and is opened by the thread that asks first."""
        self._root, self._opened = root, None
        self._lock = threading.Lock()
        self._heard: dict[str, float] = {}
        self._buried: set[str] = set()
        self._places: dict[int, str] = {}
        self._words: list[tuple[int, Told]] = []
        self._kept, self.stopping = 0.0, 0
        self.board = Board(self._lives)

    def _leases(self) -> Leases:
        """The leases, of which those of living workers last."""
        if self._opened is None:
            self._opened = Leases(Ledger(self._root / FILE))
        now = time.monotonic()
        if now - self._kept > KEEP:
            self._kept = now
            with self._lock:
                heard = dict(self._heard)
            for worker, at in heard.items():
                if now - at < GONE:
                    self._opened.beat(worker)
                else:
                    self._bury(self._opened, worker)
        return self._opened

    def _bury(self, leases: Leases, worker: str) -> None:
        """Give what a dead worker had to others."""
        with self._lock:
            self._buried.add(worker)
            self._heard.pop(worker, None)
        bury(leases, lambda name: name == worker)

    def _lives(self, worker: str) -> bool:
        with self._lock:
            return worker in self._heard

    def beat(self, worker: str) -> int:
        """Hear that a worker lives; whether it is to stop: 0 no, 1 once its tile is finished."""
        with self._lock:
            if worker not in self._buried:  # one that is unknown came to an owner that died
                self._heard[worker] = time.monotonic()
        return self.stopping

    def arrive(self, place: int, worker: str, host: str) -> None:
        """Hear of a new worker; the one before it in its place is dead."""
        leases, before = self._leases(), self._places.get(place)
        follows = before not in (None, worker)
        if follows:
            self._bury(leases, before)
        self._places[place] = worker
        with self._lock:
            self._heard[worker] = time.monotonic()
        self.hear(place, Told("arrived" if follows else "began", note=host))

    def ask(self, word: str, *given: Any, **named: Any) -> Any:
        """A word of `Leases`; raises as it does."""
        if word not in ASKED:
            raise AttributeError(word)
        leases = self._leases()
        if word == "lease" and (held := self._held(leases, given[0])):
            return held
        return getattr(leases, word)(*given, **named)

    def _held(self, leases: Leases, worker: str) -> Any:
        """What a worker has been given already, without hearing of it."""
        held = leases.ledger.rows("SELECT reference FROM orders WHERE worker = ?", worker)
        return leases.entry(held[0]["reference"]) if held else None

    def ask_board(self, word: str, *given: Any) -> Any:
        """A word of the board of shared mosaics."""
        if word not in ("offer", "withdraw", "take", "help", "finish", "give_back"):
            raise AttributeError(word)
        return getattr(self.board, word)(*given)

    def hear(self, place: int, told: Told) -> None:
        """A worker's word for whoever shows progress."""
        self._words.append((place, told))

    def words(self, stopping: int) -> list[tuple[int, Told]]:
        """What was heard since this was last asked; stopping: what workers are to be told."""
        self.stopping = stopping
        self._leases()
        words, self._words = self._words, []
        return words

    def living(self) -> set[int]:
        """The places whose workers were heard of late."""
        since = time.monotonic() - FENCE
        with self._lock:
            heard = dict(self._heard)
        return {place for place, name in self._places.items() if heard.get(name, 0.0) >= since}

    def workers(self) -> list[str]:
        """All workers that came."""
        return list(self._places.values())


def bury(leases: Leases, is_dead: Callable[[str], bool]) -> None:
    """Free the orders of workers that are dead, and clear up after those that fail with them."""
    for reference in leases.bury(is_dead):
        entry = leases.entry(reference)
        if entry.state == FAILED:
            clear_own(entry, entry.work)


class FarLeases:
    """The leases of a `Leases`, asked of their owner."""

    def __init__(self, ask: Callable[..., Any]) -> None:
        """ask: calls the owner's `ask` with a word and what is given, and waits."""
        self._ask = ask

    def __getattr__(self, word: str) -> Callable[..., Any]:
        if word not in ASKED:
            raise AttributeError(word)
        return lambda *given, **named: self._ask(word, *given, **named)


class FarBoard:
    """The board of a `Board`, asked of its owner."""

    def __init__(self, ask: Callable[..., Any]) -> None:
        """ask: calls the owner's `ask_board`, and waits."""
        self._ask = ask

    def offer(self, offer: Offer) -> None:
        """As `Board.offer`."""
        self._ask("offer", offer)

    def withdraw(self, digest: str) -> None:
        """As `Board.withdraw`."""
        self._ask("withdraw", digest)

    def take(self, digest: str, worker: str) -> tuple[int | None, set[int]] | None:
        """As `Board.take`."""
        return self._ask("take", digest, worker)

    def help(self, worker: str) -> Help | None:
        """As `Board.help`."""
        return self._ask("help", worker)

    def finish(self, digest: str, number: int) -> None:
        """As `Board.finish`."""
        self._ask("finish", digest, number)

    def give_back(self, digest: str, number: int, worker: str, refuse: bool) -> None:
        """As `Board.give_back`."""
        self._ask("give_back", digest, number, worker, refuse)
