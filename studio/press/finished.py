"""A finished mosaic as the press reads it; nothing is ever written into its tiles or its record."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image

from ...configs.errors import InputError
from ...configs.loading import resolve
from ...configs.settings import Settings
from ...generate.grid import Grid, Tile, make_grid
from ...generate.metadata import xmp_packet
from ...generate.retile import recorded_tables
from ...generate.store import FINISHED, RECORD, REFERENCE, Store, read_record, tile_name


@dataclass(frozen=True)
class Finished:
    """A finished mosaic whose tiles are all there."""

    folder: Path
    settings: Settings
    grid: Grid
    tiles: dict[str, dict[str, Any]]
    """What is known of each tile: seed, concept, prompt."""
    title: str = ""
    """What it is called where its folder's name says nothing."""

    @property
    def name(self) -> str:
        """Its title, or else the folder's own name."""
        return self.title or self.folder.resolve().name

    @property
    def reference(self) -> Path:
        """The picture that the tiles show from afar."""
        return self.folder / REFERENCE

    @property
    def record(self) -> Path:
        """Its mosaic.json, written last."""
        return self.folder / RECORD

    @property
    def xmp(self) -> bytes:
        """The XMP packet that every file made of it carries."""
        return xmp_packet(self.settings.mosaic).encode()

    def read(self, tile: Tile) -> Image.Image:
        """A tile in RGB; raises InputError for a damaged one."""
        path = Store(self.folder, self.grid).path(tile)
        try:
            with Image.open(path) as image:
                return image.convert("RGB")
        except (OSError, SyntaxError, ValueError) as error:
            raise InputError(_redraw(path, "cannot be read", self.folder)) from error


def open_finished(folder: Path) -> Finished:
    """Look at a mosaic's folder.

    Raises InputError when it holds no mosaic or an unfinished one, and for a tile that is missing
    or of another size than the others.
    """
    record = read_record(folder)
    if record is None:
        raise InputError(f"{folder} holds no mosaic; give the folder that mosaic-gen wrote.")
    if record.get("state") != FINISHED:
        raise InputError(
            f"The mosaic in {folder} is not finished; repeat the command that began it."
        )
    settings = resolve(recorded=recorded_tables(folder))
    mosaic = Finished(folder, settings, make_grid(settings), record.get("tiles", {}))
    _check_tiles(mosaic)
    return mosaic


def _check_tiles(mosaic: Finished) -> None:
    """Look at the headers of all tiles."""
    grid, store = mosaic.grid, Store(mosaic.folder, mosaic.grid)
    for tile in grid.tiles:
        path = store.path(tile)
        try:
            with Image.open(path) as image:
                size = image.size
        except (OSError, SyntaxError, ValueError) as error:
            fault = "cannot be read" if path.is_file() else "is missing"
            raise InputError(_redraw(path, fault, mosaic.folder)) from error
        if size != (grid.tile, grid.tile):
            fault = f"has {size[0]}x{size[1]} px instead of {grid.tile}x{grid.tile}"
            raise InputError(_redraw(path, fault, mosaic.folder))


def _redraw(path: Path, fault: str, folder: Path) -> str:
    return f"The tile {path} {fault}. Repeat the command that made {folder}, which draws it again."


def tile_facts(mosaic: Finished, tile: Tile) -> dict[str, Any]:
    """What is known of a tile, empty where nothing is."""
    return mosaic.tiles.get(tile_name(tile), {})
