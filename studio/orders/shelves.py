"""The folders of a hot folder, and how things get from one to another: by rename, never by copy."""

import os
from collections.abc import Sequence
from pathlib import Path

from filelock import FileLock, Timeout

from ...configs.errors import InputError
from ...configs.files import remove, write_text
from .litter import is_litter

PLACES = ("incoming", "working", "done", "failed", "unsupported")
REASON = "reason.txt"
MARKER = ".parcel.json"
"""In a folder: which orders it has, once the ledger knows them."""
LOCK = ".watch.lock"
COLLECTING = ".collecting-"


def free_name(root: Path, name: str) -> str:
    """A name that nothing has in any of the places, so that a folder keeps it wherever it goes."""
    stem, suffix = os.path.splitext(name)
    names = [name, *(f"{stem} ({number}){suffix}" for number in range(2, 10_000))]
    # What lies in incoming/ is what is to be moved.
    return next(n for n in names if not any((root / p / n).exists() for p in PLACES[1:]))


def own(root: Path) -> FileLock:
    """The lock of a hot folder, held; raises InputError while another process has it."""
    lock = FileLock(root / LOCK)
    try:
        lock.acquire(timeout=0)
    except Timeout as taken:
        raise InputError(f"Another mosaic orders watch has {root}; stop that one first.") from taken
    return lock


def collect(table: Path, beside: Sequence[Path]) -> Path:
    """Put a CSV and what it names into a folder of their own, in incoming/ under a hidden name."""
    folder = table.with_name(COLLECTING + table.stem)
    folder.mkdir(exist_ok=True)
    for path in (*beside, table):
        path.rename(folder / path.name)
    return folder


def scatter(incoming: Path) -> None:
    """Put back what was being collected when the program was stopped."""
    for folder in incoming.glob(f"{COLLECTING}*"):
        for path in folder.iterdir():
            if not (incoming / path.name).exists():
                path.rename(incoming / path.name)
        if not any(folder.iterdir()):
            folder.rmdir()


def forget_past(folder: Path) -> None:
    """Remove what an earlier stay has left: a folder may come back, mended."""
    remove(folder / MARKER)
    remove(folder / REASON)


def set_aside(path: Path, place: Path, reason: str) -> None:
    """Move a file or a folder away and say why: beside a file, inside a folder."""
    name = free_name(place.parent, path.name)
    if path.is_dir():
        write_text(path / REASON, reason + "\n")
    else:
        write_text(place / f"{name}.{REASON}", reason + "\n")
    path.rename(place / name)


def folders_in(place: Path) -> list[Path]:
    """The folders in one of the places, without what systems put there."""
    return [p for p in sorted(place.iterdir()) if p.is_dir() and not is_litter(p.name)]


def waits(incoming: Path) -> bool:
    """Whether anything but litter lies there."""
    return any(not is_litter(path.name) for path in incoming.iterdir())
