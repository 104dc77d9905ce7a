"""What arrives in a hot folder: whether it is all there and still, and which orders it tells."""

import os
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from ...configs.errors import InputError
from ...models.concept_files import IMAGE_SUFFIXES
from .litter import is_litter, is_unfinished
from .places import Fault, Place
from .reading import Read, csv_values, read_orders, tickets_in
from .ticket import BadTicket, Order

QUIET = 2.0  # s without a change, after which a file counts as copied
PATIENCE = 30.0  # s that a ticket waits for its files
ORPHAN = 600.0  # s that pictures wait for their ticket
COMPANIONS = IMAGE_SUFFIXES | {".safetensors"}
NAMING = ("concept", "picture", "tile_lora")

Fingerprint = tuple[tuple[str, int, int], ...]


def fingerprint(path: Path) -> Fingerprint:
    """Name, size and time of each file in a folder, or of a file; litter does not count."""
    if not path.is_dir():
        return (_facts(path, ""),)
    found = []
    for folder, inner, files in os.walk(path):
        inner[:] = [name for name in inner if not is_litter(name)]
        kept = [name for name in files if not is_litter(name) or is_unfinished(name)]
        found += [_facts(Path(folder, name), os.path.relpath(folder, path)) for name in kept]
    return tuple(sorted(found))


def _facts(path: Path, folder: str) -> tuple[str, int, int]:
    try:
        facts = path.stat()
    except OSError:  # renamed or deleted this moment
        return os.path.join(folder, path.name), -1, -1
    return os.path.join(folder, path.name), facts.st_size, facts.st_mtime_ns


class Stillness:
    """Since when each entry of a folder has not changed."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._seen: dict[Path, tuple[Fingerprint, float]] = {}

    def seconds(self, path: Path) -> float:
        """How long an entry has been as it is now, as far as it was looked at; 0 at first sight."""
        now = fingerprint(path)
        before, since = self._seen.get(path, (None, 0.0))
        if now != before:
            since = self._clock()
            self._seen[path] = now, since
        return self._clock() - since

    def print_of(self, path: Path) -> Fingerprint:
        """The entry as it was when it was last looked at."""
        return self._seen[path][0]

    def keep(self, paths: set[Path]) -> None:
        """Forget what is gone."""
        self._seen = {path: seen for path, seen in self._seen.items() if path in paths}


@dataclass(frozen=True)
class Parcel:
    """What is taken in at once: a folder, or a CSV with the files that lie beside it."""

    entry: Path
    reads: tuple[Read, ...]
    beside: tuple[Path, ...] = ()

    @property
    def name(self) -> str:
        """The name of its folder from now on."""
        return self.entry.name if self.entry.is_dir() else self.entry.stem

    @property
    def whole(self) -> bool:
        """Whether every ticket in it can be done and nothing is still being copied."""
        files = (name for path in (self.entry, *self.beside) for name, _, _ in fingerprint(path))
        unfinished = any(map(is_unfinished, files))
        return not unfinished and all(isinstance(read.told, Order) for read in self.reads)


def is_table(path: Path) -> bool:
    """Whether a file tells orders, a row each."""
    return path.suffix.lower() == ".csv" and path.is_file()


def is_companion(path: Path) -> bool:
    """Whether a file may belong to a CSV that is not there yet."""
    return path.suffix.lower() in COMPANIONS


def open_parcel(entry: Path, beside: tuple[Path, ...], concepts_dir: Path) -> Parcel | None:
    """Read what a folder or a CSV in the hot folder tells; None for a folder that tells no orders.

    beside: as `named_beside` finds it. A CSV that cannot be read is one bad ticket.
    """
    if not (tables := [entry] if is_table(entry) else _tables_in(entry)) and _tells_nothing(entry):
        return None
    try:
        return Parcel(entry, tuple(read_orders(entry, concepts_dir, inside=True)), beside)
    except InputError as error:
        bad = BadTicket(tables[0].name if tables else entry.name, [str(error)])
        return Parcel(entry, (Read(bad, entry if entry.is_dir() else entry.parent),), beside)


def _tables_in(folder: Path) -> list[Path]:
    return [p for p in sorted(folder.iterdir()) if not is_litter(p.name) and is_table(p)]


def _tells_nothing(folder: Path) -> bool:
    """Whether neither a folder nor one in it has a ticket or a CSV."""
    inner = [p for p in folder.iterdir() if p.is_dir() and not is_litter(p.name)]
    return not any(tickets_in(p) or _tables_in(p) for p in (folder, *inner))


def named_beside(table: Path, concepts_dir: Path) -> tuple[Path, ...]:
    """What lies beside a CSV and holds what its rows name, as far as it is there."""
    place, found = Place(table.parent, concepts_dir, inside=True), set()
    try:
        rows = [values for _, values in csv_values(table) if isinstance(values, dict)]
    except InputError:
        return ()
    for text in {values.get(name) for values in rows for name in NAMING}:
        with suppress(Fault, OSError):
            path = place.find(text or "..")
            found.add(table.parent / path.relative_to(table.parent).parts[0])
    return tuple(sorted(found - {table}))


def rebased(read: Read, old: Path, new: Path) -> Read:
    """The same after what lay in a folder was moved to another one."""

    def moved(path: Path) -> Path:
        return new / path.relative_to(old) if path.is_relative_to(old) else path

    if isinstance(read.told, BadTicket):
        return Read(read.told, moved(read.folder))
    paths = {name: getattr(read.told, name) for name in NAMING}
    update = {name: str(moved(Path(text))) for name, text in paths.items() if text}
    return Read(read.told.model_copy(update=update), moved(read.folder))
