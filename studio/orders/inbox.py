"""A hot folder: `incoming/ working/ done/ failed/ unsupported/`, everything moved by rename.

What lies in `working/` is whole and was handed to the ledger, or will be at the next start, so that
a stop at any moment loses nothing.
"""

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from threading import Event
from typing import Any, Protocol

from ...configs.errors import InputError
from ...configs.files import ensure_writable, read_json, remove, write_json, write_text
from . import shelves
from .arrivals import (
    ORPHAN, PATIENCE, QUIET, Parcel, Stillness, is_companion, is_table, named_beside, open_parcel,
    rebased,
)  # fmt: skip
from .litter import is_litter
from .reading import Read, read_orders
from .ticket import BadTicket, Order

SETTLED = ("delivered", "failed", "cancelled")
DONE = "delivered"


class Ledger(Protocol):
    """What the hot folder asks of a ledger."""

    def receive(self, order: Order, folder: Path) -> str:
        """Take an order in; raises InputError for another one of the same reference."""

    def refuse(self, reference: str, reasons: list[str], folder: Path) -> Any:
        """Note a ticket that cannot be done; raises InputError where the order is known."""

    def entry(self, reference: str) -> Any:
        """What is known of an order: `state` and `reason`."""


@dataclass
class Taken:
    """The orders of a folder that was taken in."""

    references: list[str] = field(default_factory=list)
    refused: dict[str, list[str]] = field(default_factory=dict)
    """Tickets that never became orders, with their faults."""


class Inbox:
    """A hot folder; `step` does what there is to be done now."""

    def __init__(
        self,
        root: Path,
        ledger: Ledger,
        concepts_dir: Path = Path("concepts"),
        *,
        quiet: float = QUIET,
        patience: float = PATIENCE,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.root, self.ledger, self.concepts_dir = root.absolute(), ledger, concepts_dir
        self.quiet, self.patience = quiet, max(quiet, patience)
        self._still = Stillness(clock)
        self._opened: dict[Path, tuple[Any, Parcel | None]] = {}
        self._taken: dict[Path, Taken] = {}
        for name in shelves.PLACES:
            ensure_writable(self.root / name)
        self._recover()

    @property
    def incoming(self) -> Path:
        """Where people and programs put orders."""
        return self.root / "incoming"

    @property
    def waiting(self) -> bool:
        """Whether something has arrived that is not taken in yet."""
        return shelves.waits(self.incoming)

    def take_in(self) -> None:
        """Look through incoming/ once, and take in what is there and still."""
        entries = [path for path in sorted(self.incoming.iterdir()) if not is_litter(path.name)]
        seconds = {path: self._still.seconds(path) for path in entries}
        self._still.keep(set(entries))
        self._opened = {path: opened for path, opened in self._opened.items() if path in seconds}
        # Tables first: they take along the files beside them.
        for entry in sorted(entries, key=lambda path: not is_table(path)):
            if entry.exists() and seconds[entry] >= self.quiet:
                with suppress(OSError):  # another program holds it: the next time
                    self._look_at(entry, seconds)

    def put_away(self) -> None:
        """Move each folder to where the states of its orders say that it belongs."""
        for folder, taken in list(self._taken.items()):
            with suppress(OSError):
                self._put(folder, taken)

    def _look_at(self, entry: Path, seconds: dict[Path, float]) -> None:
        if entry.is_file() and not is_table(entry):
            if not is_companion(entry) or seconds[entry] >= ORPHAN:
                reason = "No order names this file, and it is none itself."
                shelves.set_aside(entry, self.root / "unsupported", reason)
            return
        beside = named_beside(entry, self.concepts_dir) if is_table(entry) else ()
        still = min(seconds.get(path, 0.0) for path in (entry, *beside))
        if still < self.quiet:
            return
        parcel = self._open(entry, beside)
        if parcel is None and still >= ORPHAN:
            reason = "This folder has no order.toml, and no CSV names what lies in it."
            shelves.set_aside(entry, self.root / "failed", reason)
        elif parcel and (parcel.whole or still >= self.patience):
            self._claim(parcel)

    def _open(self, entry: Path, beside: tuple[Path, ...]) -> Parcel | None:
        """What an entry tells; it is read again only when it or what it names has changed."""
        state = [self._still.print_of(path) for path in (entry, *beside)]
        if self._opened.get(entry, (None, None))[0] != state:
            self._opened[entry] = state, open_parcel(entry, beside, self.concepts_dir)
        return self._opened[entry][1]

    def _claim(self, parcel: Parcel) -> None:
        """Move a parcel into working/ by one rename, and hand its orders to the ledger."""
        target = self.root / "working" / shelves.free_name(self.root, parcel.name)
        old, source = parcel.entry, parcel.entry
        if parcel.entry.is_file():
            old, source = self.incoming, shelves.collect(self.root, parcel.entry, parcel.beside)
        shelves.forget_past(source)
        source.rename(target)
        self._hand_over(target, [rebased(read, old, target) for read in parcel.reads])

    def _hand_over(self, folder: Path, reads: Iterable[Read]) -> None:
        """Give the ledger what a folder tells; done twice, it is done once."""
        taken = Taken()
        for told, _ in reads:
            if isinstance(told, BadTicket):
                taken.refused[told.reference] = told.faults
                with suppress(InputError):  # a known order is not undone by a bad ticket
                    self.ledger.refuse(told.reference, told.faults, folder)
                continue
            try:
                self.ledger.receive(told, folder)
                taken.references.append(told.reference)
            except InputError as error:
                taken.refused[told.reference] = [str(error)]
        write_json(folder / shelves.MARKER, asdict(taken))
        self._taken[folder] = taken

    def _put(self, folder: Path, taken: Taken) -> None:
        entries = {name: self.ledger.entry(name) for name in taken.references}
        reasons = list(_reasons(taken, entries))
        place = "failed" if reasons else "done"
        if any(entry.state not in SETTLED for entry in entries.values()):
            place = "working"  # also back from failed/, when an order is tried again
        if place == folder.parent.name:
            return
        target = self.root / place / folder.name
        remove(folder / shelves.REASON)
        if place == "failed":
            write_text(folder / shelves.REASON, "\n".join(reasons) + "\n")
        folder.rename(target)
        del self._taken[folder]
        if place != "done":
            self._taken[target] = taken

    def _recover(self) -> None:
        """Take up what an earlier run has left."""
        shelves.scatter(self.incoming)
        for place in ("working", "failed"):
            for folder in filter(Path.is_dir, sorted((self.root / place).iterdir())):
                known = read_json(folder / shelves.MARKER)
                if known:
                    self._taken[folder] = Taken(**known)
                elif place == "working":
                    self._hand_over(folder, _read_again(folder, self.concepts_dir))


def _reasons(taken: Taken, entries: dict[str, Any]) -> Iterator[str]:
    """A line for each fault, after the order that it belongs to."""
    for reference, faults in taken.refused.items():
        yield from (f"{reference}: {fault}" for fault in faults)
    for reference, entry in entries.items():
        if entry.state in SETTLED and entry.state != DONE:
            yield f"{reference}: {entry.state}{': ' * bool(entry.reason)}{entry.reason}"


def _read_again(folder: Path, concepts_dir: Path) -> list[Read]:
    """What a folder in working/ tells; one that tells nothing any more is a bad ticket."""
    try:
        return list(read_orders(folder, concepts_dir, inside=True))
    except InputError as error:
        return [Read(BadTicket(folder.name, [str(error)]), folder)]


def watch(
    inbox: Inbox, *, poll: bool = False, stop: Event | None = None, seconds: float = 1.0
) -> Iterator[None]:
    """Keep a hot folder going until `stop`; yields after each look, at least every `seconds`.

    poll: look for changes instead of being told of them, as network shares tell nothing.
    """
    from watchfiles import watch as changes

    inbox.take_in()
    told = changes(
        inbox.incoming, force_polling=poll, stop_event=stop, watch_filter=None, debounce=200,
        rust_timeout=round(1000 * seconds), yield_on_timeout=True, poll_delay_ms=500,
    )  # fmt: skip
    for changed in told:
        if changed or inbox.waiting:
            inbox.take_in()
        inbox.put_away()
        yield
