"""Write files so that a crash or a full disk never leaves half of one under its final name."""

import errno
import hashlib
import json
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from .errors import InputError, SmaltiError, causes

NO_SPACE = (errno.ENOSPC, errno.EDQUOT)
FULL_WORDS = ("no space left on device", "disk is full")
NO_ACCESS = (errno.EACCES, errno.EPERM, errno.EROFS)
NO_FOLDER = (errno.ENOTDIR, errno.EEXIST)
NO_FILE = (errno.EISDIR,)
NO_NAME = (errno.ENAMETOOLONG, errno.EILSEQ)
TEMPORARY = re.compile(r"\..+\.(\d+)\.tmp")  # as `replacing` names them, after the process


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a temporary name beside `path` (a file or a folder) and rename it to `path` on success.

    Makes the folder it lies in. Raises SmaltiError on a full disk and InputError where nothing may
    be written; the old file then stays.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield temporary
        if temporary.is_dir() and path.exists():
            remove(path)
        os.replace(temporary, path)
    except OSError as error:
        raise explain(error, path) from error
    finally:
        remove(temporary)


def user_path(text: str) -> Path:
    """A path as a user wrote it, "~" being home; one of a user who is not there stays as it is."""
    return Path(os.path.expanduser(text))


def is_text(name: str) -> bool:
    """Whether a name holds no bytes that are no text in UTF-8, which not every library opens."""
    return not any(0xD800 <= ord(char) < 0xE000 for char in name)


def write_text(path: Path, text: str) -> None:
    r"""Write a text in UTF-8, whole or not at all; raises as `replacing` does.

    Bytes of a file's name that are no text become escapes, `\udce9`, which JSON reads back.
    """
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8", errors="backslashreplace")


def read_json(path: Path) -> dict[str, Any] | None:
    """The JSON object in a file, None when there is no such file or no object in it."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) else None


def write_json(path: Path, value: Any) -> None:
    """Write a value as indented JSON, whole or not at all."""
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False) + "\n")


def remove(path: Path) -> None:
    """Delete a file or a folder tree if it is there."""
    if os.path.isdir(path):
        shutil.rmtree(path, ignore_errors=True)
    elif os.path.lexists(path):  # which never raises, as for names that no file can have
        path.unlink(missing_ok=True)


def explain(error: OSError, path: Path) -> SmaltiError:
    """Turn an error of writing `path` into the message a user can act on."""
    if error.errno in NO_SPACE:
        return SmaltiError(
            f"The disk is full: {path} was not written. "
            "Free some space and run the same command again."
        )
    if error.errno in NO_ACCESS:
        return InputError(
            f"{path.parent} cannot be written. Check its permissions, or choose another folder."
        )
    if error.errno in NO_NAME:
        return name_refused(path)
    if error.errno in NO_FOLDER:
        file = next((p for p in path.parents if os.path.isfile(p)), path.parent)
        return InputError(f"{file} is no folder, so nothing can be written there. Choose another.")
    if error.errno in NO_FILE:
        return InputError(f"{path} is a folder, so no file can be written there. Name another.")
    return SmaltiError(f"{path} was not written: {error}.")


def is_disk_full(error: BaseException) -> bool:
    """Say whether an error came of a full disk.

    Writers of safetensors and zip files, and SQLite, report it in the text of their own errors.
    """
    return any(
        (isinstance(cause, OSError) and cause.errno in NO_SPACE)
        or any(words in str(cause).lower() for words in FULL_WORDS)
        for cause in causes(error)
    )


def name_refused(path: Path) -> InputError:
    """What is said of a path whose name the file system does not take."""
    longest = max(path.parts, key=len, default="")
    shown = ascii(longest) if len(longest) < 60 else f"{ascii(longest[:40])}..."
    return InputError(f"{shown} cannot be the name of a file here, or its path is too long.")


def ensure_writable(folder: Path) -> None:
    """Create the folder and try to write there, before any work; raises InputError."""
    probe = folder / f".probe.{os.getpid()}.tmp"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise explain(error, probe) from error


def sweep(*folders: Path) -> None:
    """Remove what killed processes have left half written right in these folders.

    Never what a process that is alive may be writing.
    """
    for folder in folders:
        for path in folder.iterdir() if folder.is_dir() else ():
            match = TEMPORARY.fullmatch(path.name)
            if match and not _may_be_writing(int(match[1]), path):
                with suppress(OSError):
                    remove(path)


def _may_be_writing(process: int, path: Path) -> bool:
    """Whether a process is alive and was so when the file was last written.

    A younger one has only inherited the number, as it happens in containers.
    """
    import psutil

    try:
        return psutil.Process(process).create_time() <= path.lstat().st_mtime + 1
    except (psutil.Error, OSError, OverflowError, ValueError):
        return psutil.pid_exists(process) if process < 2**31 else False


def file_hash(path: Path) -> str:
    """SHA-256 of a file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
