"""Write files so that a crash or a full disk never leaves half of one under its final name."""

import errno
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ..configs.errors import InputError, SmaltiError


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a temporary name beside `path` (a file or a folder) and rename it to `path` on success.

    Raises SmaltiError on a full disk and InputError where nothing may be written; the old file then
    stays.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        yield temporary
        if temporary.is_dir() and path.exists():
            remove(path)
        os.replace(temporary, path)
    except OSError as error:
        raise explain(error, path) from error
    finally:
        remove(temporary)


def remove(path: Path) -> None:
    """Delete a file or a folder tree if it is there."""
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def explain(error: OSError, path: Path) -> SmaltiError:
    """Turn an error of writing `path` into the message a user can act on."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return SmaltiError(
            f"The disk is full: {path} was not written. "
            "Free some space and run the same command again."
        )
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return InputError(
            f"{path.parent} cannot be written. "
            "Check its permissions, or copy the concept elsewhere."
        )
    return SmaltiError(f"{path} was not written: {error}.")


def ensure_writable(folder: Path) -> None:
    """Create the folder and try to write there, before any work; raises InputError."""
    probe = folder / f".probe.{os.getpid()}"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise explain(error, probe) from error
