"""A hot folder: `incoming/ working/ done/ failed/ unsupported/`, everything moved by rename.

What lies in `working/` is whole and was handed to the ledger, or will be at the next start, so that
a stop at any moment loses nothing.
"""

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from datetime import date
from pathlib import Path
from threading import Event, Thread
from typing import Any

from ...configs.errors import InputError
from ...configs.files import ensure_writable, read_json, remove, write_json, write_text
from ...configs.progress import say
from . import shelves
from .accept import accept
from .arrivals import (
    ORPHAN,
    PATIENCE,
    QUIET,
    Parcel,
    Stillness,
    is_companion,
    is_table,
    named_beside,
    open_parcel,
    rebased,
)
from .entry import Entry
from .ledger import Ledger
from .litter import is_litter
from .reading import Read, read_orders
from .states import CLOSED, SETTLED
from .terms import Terms
from .ticket import BadTicket, Order

SPELL = 1.0  # s for which a look goes on, as workers are listened to in between
LOOK = 1.0  # s between looks while something waits for time to pass, or for its orders
LOOK_ANYWAY = 60.0  # s after which nobody relies on having been told

HINTS = {
    **dict.fromkeys((".xlsx", ".xls", ".ods", ".numbers"), "Save the table as CSV UTF-8."),
    **dict.fromkeys((".zip", ".rar", ".7z"), "Unpack it, and put the folder here."),
    **dict.fromkeys((".toml", ".json"), "Put the ticket into a folder, with its pictures."),
}


@dataclass
class Taken:
    """The orders of a folder that was taken in."""

    references: list[str] = field(default_factory=list)
    refused: dict[str, list[str]] = field(default_factory=dict)
    """Tickets that never became orders, with their faults."""


class Inbox:
    """A hot folder; `tick` does what there is to be done now."""

    def __init__(
        self,
        root: Path,
        ledger: Ledger,
        terms: Terms,
        *,
        quiet: float = QUIET,
        patience: float = PATIENCE,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Open a hot folder, or make one, and take up what an earlier run has left.

        quiet: seconds without a change, after which a file counts as copied; patience: seconds
        that a ticket waits for files that are missing. Raises InputError where it cannot write.
        """
        self.root, self.ledger, self.terms = root.absolute(), ledger, terms
        self.quiet, self.patience = quiet, max(quiet, patience)
        self.rang = Event()
        """Set by whoever sees that something has changed in incoming/."""
        self._clock, self._looked, self._put_away = clock, -LOOK_ANYWAY, -LOOK
        self._still = Stillness(clock)
        self._opened: dict[Path, tuple[Any, Parcel | None]] = {}
        self._taken: dict[Path, Taken] = {}
        for name in shelves.PLACES:
            ensure_writable(self.root / name)
        self._lock = shelves.own(self.root)
        self._recover()

    def close(self) -> None:
        """Let another process have the hot folder."""
        self._lock.release()

    @property
    def incoming(self) -> Path:
        """Where people and programs put orders."""
        return self.root / "incoming"

    @property
    def concepts_dir(self) -> Path:
        """Where trained concepts lie."""
        return Path(self.terms.concepts_dir)

    def tick(self) -> None:
        """Take in and put away what there is, if it is time to look; to be called often."""
        now = self._clock()
        since = now - self._looked
        waits = since >= LOOK and shelves.waits(self.incoming)
        if self.rang.is_set() or waits or since >= LOOK_ANYWAY:
            self.rang.clear()
            self._looked = now
            self.take_in()
        if now - self._put_away >= LOOK:
            self._put_away = now
            self.put_away()

    def take_in(self) -> None:
        """Look through incoming/ once, and take in what is there and still."""
        entries = [path for path in sorted(self.incoming.iterdir()) if not is_litter(path.name)]
        seconds = {path: self._still.seconds(path) for path in entries}
        self._still.keep(set(entries))
        self._opened = {path: opened for path, opened in self._opened.items() if path in seconds}
        ends = self._clock() + SPELL
        # Tables first: they take along the files beside them.
        for entry in sorted(entries, key=lambda path: not is_table(path)):
            if self._clock() > ends:
                self.rang.set()  # the rest at the next tick
                return
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
                shelves.set_aside(entry, self.root / "unsupported", _why_unsupported(entry))
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
        old = parcel.entry if parcel.entry.is_dir() else self.incoming
        try:
            source = parcel.entry
            if source.is_file():
                source = shelves.collect(source, parcel.beside)
            shelves.forget_past(source)
            source.rename(target)
        except OSError:  # another program holds one of the files
            shelves.scatter(self.incoming)
            raise
        self._hand_over(target, [rebased(read, old, target) for read in parcel.reads])

    def _hand_over(self, folder: Path, reads: Iterable[Read]) -> None:
        """Give the ledger what a folder tells; done twice, it is done once."""
        told = [Read(read.told, folder) for read in reads]
        found = accept(self.ledger, told, self.terms)
        for reference in found.same:  # what failed and is brought again is tried again
            if self.ledger.entry(reference).state in SETTLED:
                self.ledger.retry(reference)
        taken = Taken(list(dict.fromkeys(found.new + found.same)), found.refused)
        write_json(folder / shelves.MARKER, asdict(taken))
        self._taken[folder] = taken
        _warn([read.told for read in told if isinstance(read.told, Order)])

    def _put(self, folder: Path, taken: Taken) -> None:
        if not folder.is_dir():  # somebody has taken it out
            del self._taken[folder]
            return
        entries = [self.ledger.entry(reference) for reference in taken.references]
        reasons = list(_reasons(taken, entries))
        place = "failed" if reasons else "done"
        if any(entry.state not in CLOSED for entry in entries):
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
            for folder in shelves.folders_in(self.root / place):
                taken = self._known(folder)
                if taken:
                    self._taken[folder] = taken
                elif place == "working":
                    self._hand_over(folder, _read_again(folder, self.concepts_dir))

    def _known(self, folder: Path) -> Taken | None:
        """What a folder says that the ledger knows, None where it does not, or is another one."""
        known = read_json(folder / shelves.MARKER)
        if known is None:
            return None
        try:
            taken = Taken(**known)
            for reference in taken.references:
                self.ledger.entry(reference)
        except (InputError, TypeError):
            return None
        return taken


def _warn(orders: Iterable[Order]) -> None:
    """Say what a studio should know of orders that were taken in."""
    for order in orders:
        for warning in order.warnings(date.today()):
            say(f"orders: {order.reference}: {warning}")


def _why_unsupported(path: Path) -> str:
    """What is said of a file that is no order, and what to do with it."""
    hint = HINTS.get(path.suffix.lower(), "No order names this file, and it is none itself.")
    return f"{path.name}: {hint}"


def _reasons(taken: Taken, entries: Iterable[Entry]) -> Iterator[str]:
    """A line for each fault, after the order that it belongs to."""
    for reference, faults in taken.refused.items():
        yield from (f"{reference}: {fault}" for fault in faults)
    for entry in entries:
        if entry.state in SETTLED:
            yield f"{entry.reference}: {entry.state}{': ' * bool(entry.reason)}{entry.reason}"


def _read_again(folder: Path, concepts_dir: Path) -> list[Read]:
    """What a folder in working/ tells; one that tells nothing any more is a bad ticket."""
    try:
        return list(read_orders(folder, concepts_dir, inside=True))
    except InputError as error:
        return [Read(BadTicket(folder.name, [str(error)]), folder)]


@contextmanager
def listening(inbox: Inbox, *, poll: bool = False) -> Iterator[None]:
    """Have the hot folder's bell rung, by another thread, whenever something changes in incoming/.

    poll: look for changes instead of being told of them, as network shares tell nothing.
    """
    stop = Event()
    thread = Thread(target=_listen, args=(inbox, poll, stop), daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def _listen(inbox: Inbox, poll: bool, stop: Event) -> None:
    from watchfiles import watch

    try:
        for _ in watch(
            inbox.incoming, force_polling=poll, stop_event=stop, watch_filter=None, debounce=200,
            rust_timeout=1000, poll_delay_ms=500, raise_interrupt=False,
        ):  # fmt: skip
            inbox.rang.set()
    except OSError as error:  # such as the system's limit on watched folders
        say(f"orders: {inbox.incoming} is looked through every minute ({error}); --poll looks more")
