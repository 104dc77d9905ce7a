"""The folder in which one order is worked on: `work/NAME`, one process's at a time.

It holds `order.json`, copies of what the customer gave, `concept/` with the adapter, `mosaic/`, the
proof, and `delivery/` until it is renamed into `out/`.
"""

import json
import os
import shutil
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from filelock import FileLock, Timeout

from ...configs.errors import InputError
from ...configs.files import TEMPORARY, explain, file_hash, read_json, remove, replacing, write_json
from ...models.concepts import ADAPTER_FILE
from .entry import Entry, FileFacts
from .states import DELIVERED
from .terms import Materials

LOCKS = ".locks"  # in `work/`
RECORD = "order.json"
TICKET = "ticket.json"
DELIVERY = "delivery"
LITTER = shutil.ignore_patterns(".*", "Thumbs.db", "desktop.ini", ADAPTER_FILE, "validation.png")


class FolderTaken(Exception):
    """Another process works in the folder: one that was asleep and has lost its lease."""


@contextmanager
def own_folder(entry: Entry) -> Iterator[Path]:
    """The order's folder, for this process alone until it ends, in whatever way it does.

    Raises FolderTaken where another one has it.
    """
    locks = entry.root / "work" / LOCKS
    _make(locks)
    _make(entry.work)
    lock = FileLock(locks / f"{entry.name}.lock")
    try:
        lock.acquire(timeout=0)
    except Timeout as taken:
        raise FolderTaken(str(entry.work)) from taken
    try:
        yield entry.work
    finally:
        lock.release()


@contextmanager
def leased_folder(entry: Entry) -> Iterator[Path]:
    """The order's folder, for the holder of its lease, where locks of files do not hold."""
    _make(entry.work)
    yield entry.work


def _make(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise explain(error, folder) from error


def stamp(entry: Entry) -> str:
    """What tells an order from another one under its reference."""
    told = f"{entry.digest} {json.dumps(entry.terms.as_dict(), sort_keys=True)}"
    return sha256(told.encode(errors="replace")).hexdigest()


def holds(entry: Entry) -> bool:
    """Whether the folder was begun for this very order."""
    return (read_json(entry.work / RECORD) or {}).get("stamp") == stamp(entry)


def begin(entry: Entry) -> None:
    """Make an empty folder the order's."""
    for path in entry.work.iterdir():
        remove(path)
    assert entry.order is not None
    order = entry.order.model_dump(mode="json")
    write_json(entry.work / RECORD, {"stamp": stamp(entry), "order": order})


def tidy(folder: Path) -> None:
    """Remove what a killed process has left half written, anywhere in the folder."""
    for path in list(folder.rglob("*")):
        if TEMPORARY.fullmatch(path.name):
            remove(path)


def clear(entry: Entry) -> None:
    """Remove what was half done of an order that ended without its files; not what was finished.

    A worker that still has the folder does so itself.
    """
    try:
        with own_folder(entry) as folder:
            clear_own(entry, folder)
    except FolderTaken:
        pass


def clear_own(entry: Entry, folder: Path) -> None:
    """The same, in a folder that is this process's own."""
    tidy(folder)
    remove(folder / DELIVERY)
    if entry.out and entry.state != DELIVERED:
        remove(entry.out)


@dataclass(frozen=True)
class Publisher:
    """Renames a finished folder to where it is delivered; nobody ever sees half of it."""

    made: Path
    out: Path

    def __call__(self) -> None:
        """Publish; in whichever process has the ledger."""
        try:
            self.out.parent.mkdir(parents=True, exist_ok=True)
            remove(self.out)
            self.made.replace(self.out)
            if os.name == "posix":
                _sync(self.out.parent, os.O_RDONLY)  # the new name too
        except OSError as error:
            raise explain(error, self.out) from error


def gather(entry: Entry) -> Materials:
    """Copy what the customer gave into the folder, so that the order is whole by itself.

    Raises InputError for what is not there any more.
    """
    order, work = entry.order, entry.work
    assert order is not None
    photos = order.photos
    concept = _copied(photos, work / "concept" / photos.name) if photos else order.concept
    picture = Path(order.picture) if order.picture else None
    lora = Path(order.tile_lora) if order.tile_lora else None
    return Materials(
        concept=str(concept),
        picture=str(_copied(picture, work / f"picture{picture.suffix}")) if picture else "",
        lora=str(_copied(lora, work / "lora" / lora.name)) if lora else "",
    )


def _copied(source: Path, target: Path) -> Path:
    """The copy of a file or a folder of photos, made once."""
    if target.exists():
        return target
    if not source.exists():
        raise InputError(f"{source} is not there any more.")
    with replacing(target) as temporary:
        if source.is_dir():
            shutil.copytree(source, temporary, ignore=LITTER)
        else:
            shutil.copyfile(source, temporary)
    return target


def facts_of_files(folder: Path, names: Iterable[str] | None = None) -> dict[str, FileFacts]:
    """Size and hash of each file in a folder, all of them or some, by its name in there."""
    paths = [folder / name for name in names] if names is not None else files_in(folder)
    return {
        path.relative_to(folder).as_posix(): FileFacts(path.stat().st_size, file_hash(path))
        for path in paths
    }


def files_in(folder: Path) -> Sequence[Path]:
    """All files below a folder, sorted."""
    return sorted(path for path in folder.rglob("*") if not path.is_dir())


def keep_safe(folder: Path) -> None:
    """Wait until a folder's files are on the disk, so that a power cut loses none of them."""
    for path in files_in(folder):
        _sync(path, os.O_RDWR)


def _sync(path: Path, flags: int) -> None:
    descriptor = os.open(path, flags)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
