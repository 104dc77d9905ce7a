"""The pictures of a pool: files, each with what it was drawn from."""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from ...configs.errors import InputError
from ...configs.files import file_hash, user_path
from ...models.concept_files import IMAGE_SUFFIXES, visible_files
from ...models.photos import check_header, load_photo, naming, read_photo
from ...models.pixels import flatten, to_image
from ..grid import MIN_TILE, Grid
from ..subjects import Subject

if TYPE_CHECKING:
    from torch import Tensor

PICTURE = "pool picture"  # in messages


@dataclass(frozen=True)
class Source:
    """A picture of the pool."""

    file: Path
    subject: Subject
    """What it was drawn from; nothing for a user's own picture."""
    what: str = PICTURE
    """Its part in the mosaic, for messages."""

    def read(self, side: int) -> "Tensor":
        """The picture [3, side, side] in [0, 1], its middle square."""
        from ..blocks import fit_reference

        picture = load_photo(self.file, self.what, MIN_TILE)
        return fit_reference(picture, Grid(1, 1, side, side))

    def small(self, side: int) -> "Tensor":
        """About the same in small, [3, side, side], by plain means: for what compares colours."""
        with naming(self.file, self.what):
            image = flatten(read_photo(self.file, MIN_TILE))[0]
        short = min(image.size)
        left, top = ((length - short) // 2 for length in image.size)
        box = (left, top, left + short, top + short)
        return to_image(np.asarray(image.resize((side, side), Image.Resampling.BOX, box)))


def picture_files(folder: str, setting: str = "mosaic.pool") -> list[Path]:
    """The pictures of a folder by name; raises InputError, naming `setting`, if there are none."""
    place = user_path(folder)
    if not place.is_dir():
        raise InputError(f"{setting} {place} is no folder; give the folder of your pictures.")
    files = [path for path in visible_files(place) if path.suffix.lower() in IMAGE_SUFFIXES]
    if not files:
        raise InputError(
            f"{setting} {place} holds no pictures ({', '.join(sorted(IMAGE_SUFFIXES))}); put "
            f"some there, or leave {setting} out to have them drawn from the tile prompts."
        )
    return files


def pictures_hash(files: Iterable[Path]) -> str:
    """16 hex digits that depend on names and contents of pictures."""
    lines = [f"{path.name} {file_hash(path)}" for path in files]
    return hashlib.sha256("\n".join(lines).encode(errors="surrogateescape")).hexdigest()[:16]


def check_pictures(folder: str) -> None:
    """Look at the header of every picture; raises InputError when one cannot serve."""
    for path in picture_files(folder):
        check_header(path, PICTURE, MIN_TILE)


def folder_sources(folder: str) -> list[Source]:
    """The pictures of the pool's folder."""
    return [Source(path, Subject("", "")) for path in picture_files(folder)]
