"""Where the files lie that an order names, and a hash of what is in them."""

import hashlib
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath, PureWindowsPath

from ...configs.errors import InputError
from ...configs.files import file_hash, user_path
from ...configs.tables import nearest
from ...models.concept_files import concept_files
from ...models.concepts import ADAPTER_FILE, concept_folders

CONCEPT_SETTINGS = "concept.toml"


class Fault(ValueError):
    """One fault of a ticket, in words."""


@dataclass(frozen=True)
class Place:
    """Where a ticket lies, and what it may name from there."""

    where: Path
    """The folder that its paths start from, absolute."""
    concepts_dir: Path
    """Where trained concepts lie."""
    inside: bool
    """Whether its paths may not leave that folder."""

    def find(self, text: str) -> Path:
        """The file or folder of a path as a ticket names it, absolute.

        Windows' separators, another case and another Unicode form lead to it too, where they mean
        one file only. Raises Fault when it is not there, or lies elsewhere than it may.
        """
        plain = text if (self.where / text).exists() else text.replace("\\", "/")
        if self.inside and _leaves(plain):
            raise Fault(f"{text} is no path within the order's folder")
        path = _alike(self.where / (plain if self.inside else user_path(plain)))
        if not path.exists():
            names = [p.name for p in _visible(path.parent)]
            raise Fault(f"{text} does not exist{nearest(path.name, names)}".rstrip("."))
        self.check_inside(path)
        return path if self.inside else path.resolve()

    def check_inside(self, path: Path) -> None:
        """Raise Fault for a link that leads out of the folder, where that is not allowed."""
        if self.inside and not path.resolve().is_relative_to(self.where.resolve()):
            raise Fault(f"{path.relative_to(self.where)} leads out of the order's folder")

    def trained(self, name: str) -> str:
        """The proper name of a trained concept; raises Fault with the nearest known one."""
        folders = concept_folders(self.concepts_dir)
        found = [folder for folder in folders if _folded(folder.name) == _folded(name)]
        if not found:
            known = [f.name for f in folders if (f / ADAPTER_FILE).is_file()]
            raise Fault(f'there is no trained concept "{name}"{nearest(name, known)}'.rstrip("."))
        if not (found[0] / ADAPTER_FILE).is_file():
            raise Fault(f'the concept "{name}" is not trained; type: mosaic train {found[0]}')
        return found[0].name


def _leaves(text: str) -> bool:
    """Whether a path is absolute on any system, or goes up."""
    windows, posix = PureWindowsPath(text), PurePosixPath(text)
    rooted = windows.drive or windows.root or posix.is_absolute() or text.startswith("~")
    return bool(rooted) or ".." in windows.parts


def _alike(path: Path) -> Path:
    """The path itself, or the only one that differs from it in case and Unicode form."""
    if path.exists() or path == path.parent:
        return path
    parent = _alike(path.parent)
    found = [p for p in _visible(parent) if _folded(p.name) == _folded(path.name)]
    return found[0] if len(found) == 1 else parent / path.name


def _visible(folder: Path) -> Sequence[Path]:
    try:
        return sorted(p for p in folder.iterdir() if not p.name.startswith("."))
    except OSError:
        return []


def _folded(name: str) -> str:
    return unicodedata.normalize("NFC", name).casefold()


def content_hash(path: Path) -> str:
    """SHA-256 of a file, or of the photos, masks and captions of a concept's folder.

    A folder's own name and what training leaves in it do not count. Raises InputError for what is
    not there.
    """
    try:
        if not path.is_dir():
            return file_hash(path)
        found = hashlib.sha256()
        for file in _of_concept(path):
            name = unicodedata.normalize("NFC", file.relative_to(path).as_posix())
            found.update(f"{file_hash(file)} {name}\n".encode(errors="surrogateescape"))
        return found.hexdigest()
    except OSError as error:
        raise InputError(f"{path} cannot be read any more ({error.strerror}).") from error


def _of_concept(folder: Path) -> list[Path]:
    files = concept_files(folder)
    beside = [p for named in (files.masks, files.captions) for ps in named.values() for p in ps]
    settings = [folder / CONCEPT_SETTINGS] if (folder / CONCEPT_SETTINGS).is_file() else []
    return sorted({*files.photos, *beside, *settings})
