"""Does the ledger tell the truth? Its orders, leases and histories against the disk."""

import time
from collections import Counter
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

from ...configs.files import TEMPORARY, file_hash
from .entry import Entry, Event
from .folder import DELIVERY, files_in
from .ledger import LEASE, Ledger
from .names import is_dead
from .states import CLOSED, DELIVERED, FAILED, RECEIVED, may_follow


def check_orders(ledger: Ledger) -> list[str]:
    """Everything that is not as it must be, a line each; nothing where all is well.

    To be asked while no worker is at work: what one is writing just now would be named too, but for
    the folders of orders whose workers live.
    """
    entries = ledger.entries()
    histories: dict[str, list[Event]] = {}
    for event in ledger.events():
        histories.setdefault(event.reference, []).append(event)
    found = [*_file(ledger)]
    for entry in entries:
        found += _history(entry, histories.get(entry.reference, []))
        found += _reason(entry)
        found += _lease(entry)
        found += _delivery(entry)
    return [*found, *_strays(ledger.root, entries), *_leftovers(ledger.root, entries)]


def _file(ledger: Ledger) -> Iterator[str]:
    for row in ledger.rows("PRAGMA integrity_check"):
        if row[0] != "ok":
            yield f"the ledger's file is damaged: {row[0]}"


def _history(entry: Entry, events: list[Event]) -> Iterator[str]:
    """An unbroken chain of allowed steps from receipt to the present state, delivered once."""
    name = entry.reference
    if not events or (events[0].was, events[0].now) != ("", RECEIVED):
        yield f"{name}: nothing says how it was received"
        return
    for before, after in pairwise(events):
        if before.now != after.was:
            yield f"{name}: was {before.now}, then came from {after.was}"
        if after.was != after.now and not may_follow(after.was, after.now):
            yield f"{name}: went from {after.was} to {after.now}"
    if events[-1].now != entry.state:
        yield f"{name}: is {entry.state}, but the last that happened was {events[-1].now}"
    last = max(n for n, event in enumerate(events) if event.now == RECEIVED)
    times = Counter(e.now for e in events[last:] if e.was != e.now)[DELIVERED]
    if times != (entry.state == DELIVERED):
        yield f"{name}: is {entry.state}, and was delivered {times} times"


def _reason(entry: Entry) -> Iterator[str]:
    if entry.state == FAILED and not entry.reason:
        yield f"{entry.reference}: failed for no reason"


def _lease(entry: Entry) -> Iterator[str]:
    if entry.worker is None:
        return
    if entry.state in CLOSED:
        yield f"{entry.reference}: is {entry.state}, but {entry.worker} has it"
    elif is_dead(entry.worker) or (entry.heartbeat or 0) < time.time() - LEASE:
        yield f"{entry.reference}: {entry.worker} has it, but does not live"


def _delivery(entry: Entry) -> Iterator[str]:
    """All files of a delivered order are there and whole."""
    if entry.state != DELIVERED:
        return
    if not entry.files:
        yield f"{entry.reference}: is delivered without any file"
    for name, path in entry.outputs.items():
        facts = entry.files[name]
        if not path.is_file():
            yield f"{entry.reference}: {path} is missing"
        elif path.stat().st_size != facts.size or file_hash(path) != facts.sha256:
            yield f"{entry.reference}: {path} is not what was delivered"


def _strays(root: Path, entries: list[Entry]) -> Iterator[str]:
    """Files in `out/` that no delivered order has, and folders of work that no order has."""
    known = Counter(path for entry in entries if entry.state == DELIVERED
                    for path in entry.outputs.values())  # fmt: skip
    for path, times in known.items():
        if times > 1:
            yield f"{path} belongs to {times} orders"
    for path in files_in(root / "out"):
        if path not in known:
            yield f"{path} belongs to no delivered order"
    names = {entry.name for entry in entries}
    for folder in _folders(root / "work"):
        if folder.name not in names and not folder.name.startswith("."):
            yield f"{folder} belongs to no order"


def _folders(parent: Path) -> list[Path]:
    return sorted(p for p in parent.iterdir() if p.is_dir()) if parent.is_dir() else []


def _leftovers(root: Path, entries: list[Entry]) -> Iterator[str]:
    """What is half written, outside of folders in which somebody works."""
    busy = {entry.work for entry in entries if entry.worker and not is_dead(entry.worker)}
    for path in sorted(root.rglob(".*.tmp")):
        if TEMPORARY.fullmatch(path.name) and not busy.intersection(path.parents):
            yield f"{path} is half written"
    for entry in entries:
        if entry.state in CLOSED and (entry.work / DELIVERY).exists():
            yield f"{entry.work / DELIVERY} was never delivered"
