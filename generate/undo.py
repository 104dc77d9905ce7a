"""Tiles that were drawn anew, taken back: the one before, and again the one after."""

import os
import shutil
from collections.abc import Sequence
from pathlib import Path

from ..configs.errors import InputError
from ..configs.files import replacing
from ..configs.loading import resolve
from ..configs.settings import Settings
from .finish import finish, mosaic_file
from .grid import Tile, make_grid
from .retile import recorded_tables
from .store import UNFINISHED, Store


def take_back(folder: Path, tiles: Sequence[Tile]) -> Path:
    """Exchange tiles with those that they have replaced, and return the path of the mosaic.

    The same again brings the newer ones back. Raises InputError for a tile that was never drawn
    anew, and where no finished mosaic lies.
    """
    store, settings = kept_tiles(folder, tiles)
    store.update(state=UNFINISHED)  # until mosaic.png shows them
    for tile in tiles:
        _exchange(store.path(tile), store.kept(tile))
    finish(store, settings, dict.fromkeys(settings.mosaic.picture.tile_prompt))
    return mosaic_file(store)


def kept_tiles(folder: Path, tiles: Sequence[Tile]) -> tuple[Store, Settings]:
    """The mosaic that `take_back` would change, and how it was made; raises as that does."""
    settings = resolve(recorded=recorded_tables(folder))
    store = Store(folder, make_grid(settings))
    for row, col in tiles:
        if not store.kept((row, col)).is_file():
            raise InputError(f"{folder} keeps no other tile {row},{col}: it was not drawn anew.")
    return store, settings


def _exchange(one: Path, other: Path) -> None:
    """Swap two files; a stop in between loses neither, and `one` is there at any time."""
    third = other.with_suffix(".third")
    for source, target in ((one, third), (other, one)):
        with replacing(target) as temporary:
            shutil.copyfile(source, temporary)
    os.replace(third, other)
