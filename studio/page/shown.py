"""What pages say of a mosaic, finished or not, read from its folder."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...configs.loading import resolve
from ...configs.settings import Settings
from ...configs.tables import checked_tables
from ...generate.grid import Grid, make_grid
from ...generate.store import FINISHED, RECORD, read_record
from .desk import Missing


@dataclass(frozen=True)
class Shown:
    """What a page says of a mosaic."""

    name: str
    folder: Path
    settings: Settings
    grid: Grid
    record: dict[str, Any]
    there: int
    """Tiles that are drawn."""

    @property
    def finished(self) -> bool:
        """Whether mosaic.png shows all tiles."""
        return self.record.get("state") == FINISHED

    @property
    def version(self) -> int:
        """Changes when a tile or the record does: part of a picture's address."""
        paths = [path for path in (self.folder / "tiles", self.folder / RECORD) if path.exists()]
        return sum(path.stat().st_mtime_ns // 10**6 for path in paths)


def show(folder: Path) -> Shown:
    """Read a mosaic's folder, finished or not; raises Missing when it holds none."""
    record = read_record(folder)
    if record is None or "settings" not in record:
        raise Missing("There is no mosaic here that says how it is made.")
    settings = resolve(recorded=checked_tables(record["settings"], str(folder / RECORD)))
    grid = make_grid(settings)
    tiles = folder / "tiles"
    there = sum(1 for path in tiles.glob("r*_c*.png")) if tiles.is_dir() else 0
    return Shown(folder.name, folder, settings, grid, record, there)
