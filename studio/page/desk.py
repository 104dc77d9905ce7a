"""Where things lie: the folders that the page shows, and how a name from a request becomes a path.

The page keeps no state of its own. What it shows is read from concept folders, mosaics' stores and
the ledger of orders each time, so that two pages, and the command line, always see the same.
"""

import unicodedata
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from ...configs.errors import InputError
from ...generate.store import RECORD
from ...models.concept_files import IMAGE_SUFFIXES, concept_files
from ...models.concepts import concept_folders
from ..orders.naming import RESERVED

MAX_NAME = 80  # bytes
LORA_SUFFIX = ".safetensors"


class Missing(InputError):
    """What a request names is not there."""


@dataclass(frozen=True)
class Desk:
    """The folders that a page works in."""

    concepts: Path
    mosaics: Path
    orders: Path
    base: str = ""
    """The base of everything that is begun here; the starter without one."""
    overrides: tuple[str, ...] = ()
    """What `--set` says for everything that is begun here."""

    @property
    def words(self) -> list[str]:
        """The options that every command of this page has."""
        base = ["--base", self.base] if self.base else []
        return [*base, *(word for text in self.overrides for word in ("--set", text))]

    def concept(self, name: str) -> Path:
        """The folder of a concept that is there; raises Missing for any other name."""
        return _one_of(concept_folders(self.concepts), name, "concept")

    def mosaic(self, name: str) -> Path:
        """The folder of a mosaic that is there; raises Missing for any other name."""
        return _one_of(self.mosaic_folders(), name, "mosaic")

    def mosaic_folders(self) -> list[Path]:
        """Folders of mosaics, finished or not, the latest first."""
        found = self.mosaics.glob(f"*/{RECORD}") if self.mosaics.is_dir() else ()
        folders = [path.parent for path in found if not path.parent.name.startswith(".")]
        return sorted(folders, key=lambda f: (f / RECORD).stat().st_mtime, reverse=True)

    def photo(self, concept: str, name: str) -> Path:
        """A photo of a concept by its file's name; raises Missing for any other name."""
        return _one_of(concept_files(self.concept(concept)).photos, name, "photo")

    @property
    def uploads(self) -> Path:
        """Where photos and LoRA files that mosaics are made of are kept."""
        return self.mosaics / "photos"

    def upload(self, name: str) -> Path:
        """A photo that was dropped for a mosaic; raises Missing for any other name."""
        return _one_of(self._dropped(IMAGE_SUFFIXES), name, "dropped photo")

    def lora(self, name: str) -> Path:
        """A LoRA file that was dropped for a mosaic; raises Missing for any other name."""
        return _one_of(self._dropped((LORA_SUFFIX,)), name, "dropped LoRA")

    def _dropped(self, endings: Collection[str]) -> list[Path]:
        there = self.uploads.iterdir() if self.uploads.is_dir() else ()
        return [path for path in there if path.suffix in endings]

    @property
    def drafts(self) -> Path:
        """Where drafts lie."""
        return self.mosaics / ".drafts"


def _one_of(paths: "list[Path] | tuple[Path, ...]", name: str, what: str) -> Path:
    """The path of this name among those that are there: nothing else of a request is a path."""
    for path in paths:
        if path.name == name:
            return path
    raise Missing(f'There is no {what} "{name}" here.')


def new_name(text: str, what: str) -> str:
    """A name for a new folder, as a person typed it; raises InputError for what cannot be one.

    Letters and digits of any script, spaces, and - _ ( ) within.
    """
    name = unicodedata.normalize("NFC", text).strip()
    kept = all(unicodedata.category(char)[0] in "LMN" or char in " -_()" for char in name)
    if not name or not kept or not any(char.isalnum() for char in name):
        raise InputError(f"The {what}'s name has letters, digits, spaces and - _ ( ) only.")
    if len(name.encode()) > MAX_NAME or RESERVED.fullmatch(name):
        raise InputError(f"The {what} needs another name, of up to {MAX_NAME} letters.")
    return name


def file_name(text: str, taken: "set[str]", endings: Collection[str] = IMAGE_SUFFIXES) -> str:
    """A safe name for an uploaded file, not among those `taken`; its ending is kept.

    Raises InputError for an ending that is not among those wanted, which are a picture's.
    """
    given = unicodedata.normalize("NFC", text.replace("\\", "/").rsplit("/", 1)[-1])
    stem, _, ending = given.rpartition(".")
    ending = f".{ending.lower()}"
    if ending not in endings:
        others = "jpg, png, heic, webp, tif and more are"
        wanted = others if endings is IMAGE_SUFFIXES else f"{', '.join(endings)} is"
        raise InputError(f"{given[:60]!r} cannot be taken here; {wanted}.")
    letters = (c if unicodedata.category(c)[0] in "LMN" or c in "-_" else "-" for c in stem)
    plain = "".join(letters).strip("-").encode()[:MAX_NAME].decode(errors="ignore") or "photo"
    plain = f"{plain}-1" if RESERVED.fullmatch(plain) else plain
    folded, number, name = {n.casefold() for n in taken}, 1, f"{plain}{ending}"
    while name.casefold() in folded:
        number += 1
        name = f"{plain}-{number}{ending}"
    return name
