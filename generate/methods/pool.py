"""The pool of classical methods: a folder of pictures, or pictures drawn from the tile prompts."""

import hashlib
from dataclasses import dataclass, replace
from itertools import cycle, islice, product
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from ...configs.errors import InputError
from ...configs.files import file_hash
from ...configs.settings import MosaicSettings
from ..grid import MIN_TILE, Grid, fit_reference
from ..palette import COLORS
from ..reference import load_photo, opened
from ..subjects import Subject, name_color
from ..tiles import TileStore
from .matching import pictures_needed

if TYPE_CHECKING:
    from ..studio import Studio

FOLDER = "pool"  # in the mosaic's
PICTURE = "pool picture"  # in messages
SUFFIXES = (".bmp", ".gif", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp")


@dataclass(frozen=True)
class Source:
    """A picture of the pool."""

    file: Path
    subject: Subject
    """What it was drawn from; nothing for a user's own picture."""

    def read(self, side: int) -> Tensor:
        """The picture [3, side, side] in [0, 1], its middle square."""
        picture = load_photo(self.file, PICTURE, MIN_TILE)
        return fit_reference(picture, Grid(1, 1, side, side))


def pool_files(mosaic: MosaicSettings) -> list[Path]:
    """The pictures of the pool's folder by name; raises InputError when there are none."""
    folder = Path(mosaic.pool).expanduser()
    if not folder.is_dir():
        raise InputError(f"mosaic.pool {folder} is no folder; give the folder of your pictures.")
    files = sorted(
        path
        for path in folder.iterdir()
        # Other systems leave "._photo.jpg" beside photo.jpg, which is none.
        if path.suffix.lower() in SUFFIXES and not path.name.startswith(".") and path.is_file()
    )
    if not files:
        raise InputError(
            f"mosaic.pool {folder} holds no pictures ({', '.join(SUFFIXES)}); put some there, or "
            "leave mosaic.pool out to have them drawn from the tile prompts."
        )
    return files


def pool_hash(mosaic: MosaicSettings) -> str:
    """16 hex digits that depend on names and contents of the folder's pictures."""
    lines = [f"{path.name} {file_hash(path)}" for path in pool_files(mosaic)]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()[:16]


def check_pool(mosaic: MosaicSettings, grid: Grid) -> None:
    """Look at the header of every picture, before anything is loaded.

    Raises InputError when one cannot serve, or when "match" has too few of them to keep its
    distance between repeats.
    """
    files = pool_files(mosaic) if mosaic.pool else []
    for path in files:
        with opened(path, PICTURE, MIN_TILE):
            pass
    count = len(files) if mosaic.pool else mosaic.pool_size
    needed = pictures_needed(grid, mosaic.repeat_distance)
    if mosaic.method == "match" and count < needed:
        raise InputError(
            f"A pool of {count} is too small to repeat no picture within mosaic.repeat_distance "
            f"{mosaic.repeat_distance}; it takes {needed}. Lower the distance or add pictures "
            f"({'to the folder' if mosaic.pool else 'with mosaic.pool_size'})."
        )


def folder_pool(mosaic: MosaicSettings) -> list[Source]:
    """The pictures of the pool's folder."""
    return [Source(path, Subject("", "")) for path in pool_files(mosaic)]


def drawn_pool(drawing: "Studio") -> list[Source]:
    """The pictures that were drawn in the studio of `pool_studio`."""
    return [Source(drawing.store.path(tile), drawing.subjects[tile]) for tile in drawing.subjects]


def pool_studio(studio: "Studio") -> "Studio":
    """A studio that draws the pool as one row of plain tiles, kept in the mosaic's folder `pool`.

    So pictures of the pool are drawn in batches and found again after a restart as tiles are.
    """
    mosaic = replace(studio.plan.settings.mosaic, method="smalti", tint=0.0)
    settings = replace(studio.plan.settings, mosaic=mosaic)
    grid = replace(studio.plan.grid, rows=1, cols=mosaic.pool_size)
    return replace(
        studio,
        plan=replace(studio.plan, settings=settings, grid=grid),
        store=TileStore(studio.store.folder / FOLDER, grid),
        blocks=dict.fromkeys(grid.tiles, torch.zeros(3, 1, 1)),  # there is nothing to follow
        subjects=dict(zip(grid.tiles, pool_subjects(mosaic), strict=True)),
    )


def pool_pictures(folder: Path) -> Path:
    """Where the pool that was drawn for the mosaic in `folder` lies: a folder of PNG files."""
    return TileStore(folder / FOLDER, Grid(1, 1, MIN_TILE, MIN_TILE)).path((0, 0)).parent


def pool_subjects(mosaic: MosaicSettings) -> list[Subject]:
    """Concepts and prompts of the pool's pictures in turn; `<color>` runs through all colours."""
    known = product(COLORS, mosaic.tile_prompt, mosaic.tile_lora or ("",))
    subjects = [Subject(concept, name_color(prompt, color)) for color, prompt, concept in known]
    return list(islice(cycle(subjects), mosaic.pool_size))
