"""One attempt at an order, and what becomes of the order where it goes wrong."""

import os
import traceback
from contextlib import suppress
from pathlib import Path

from ...configs.errors import SmaltiError, causes, is_out_of_memory
from ...configs.files import is_disk_full, remove, write_text
from .entry import Entry
from .folder import DELIVERY, FolderTaken, clear_own
from .leases import REST, LeaseLost
from .states import CLOSED
from .work import Desk, work

ROOM = 16 * 2**20  # bytes; with less on the disk no order can be worked on


class NothingWritable(SmaltiError):
    """The disk is full, also for the next order."""


def attempt(desk: Desk, entry: Entry) -> None:
    """Work on an order; whatever happens to it, the worker can go on with the next one.

    Raises KeyboardInterrupt where the worker is to stop, and NothingWritable where it has to.
    """
    try:
        with desk.own(entry):
            _try(desk, entry)
    except FolderTaken:
        desk.leases.give_back(entry, desk.worker, rest=REST)
    except SmaltiError as error:
        # Where even what became of the order could not be written down, nothing can.
        raise NothingWritable(str(error)) from error


def _try(desk: Desk, entry: Entry) -> None:
    try:
        _work(desk, entry)
    except LeaseLost:  # also while it was said what became of it
        now = desk.leases.entry(entry.reference)
        if now.state in CLOSED:  # else it is another worker's
            clear_own(now, entry.work)


def _work(desk: Desk, entry: Entry) -> None:
    try:
        work(desk, entry)
    except LeaseLost:
        raise
    except KeyboardInterrupt:
        desk.leases.give_back(entry, desk.worker)
        raise
    except Exception as error:
        _settle(desk, entry, error)


def _settle(desk: Desk, entry: Entry, error: Exception) -> None:
    """Put an order off for want of memory or disk, or let it fail with its reason."""
    leases, worker = desk.leases, desk.worker
    if any(map(is_out_of_memory, causes(error))):
        desk.engines.close()
        leases.put_off(entry, worker, "out of memory")
    elif is_disk_full(error):
        remove(entry.work / DELIVERY)
        leases.put_off(entry, worker, "the disk is full")
        if not has_room(entry.root):
            raise NothingWritable(
                f"The disk of {entry.root} is full; no order can go on. Free some space and run "
                "the same command again."
            ) from error
    elif isinstance(error, SmaltiError):
        leases.fail(entry, worker, str(error))
    else:
        with suppress(SmaltiError):
            write_text(entry.work / "error.txt", traceback.format_exc())
        told = f"{type(error).__name__}: {error}"
        leases.fail(entry, worker, f"{told} (see {entry.work / 'error.txt'})")


def has_room(folder: Path) -> bool:
    """Whether a file of ROOM bytes can be written."""
    probe = folder / "work" / f".room.{os.getpid()}.tmp"
    try:
        probe.write_bytes(bytes(ROOM))
    except OSError:
        return False
    finally:
        with suppress(OSError):
            probe.unlink(missing_ok=True)
    return True
