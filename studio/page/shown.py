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

    @property
    def there(self) -> int:
        """Tiles that are drawn."""
        return sum(1 for _ in (self.folder / "tiles").glob("r*_c*.png"))

    @property
    def finished(self) -> bool:
        """Whether mosaic.png shows all tiles."""
        return self.record.get("state") == FINISHED

    @property
    def version(self) -> int:
        """Changes when a tile or the record does: part of a picture's address."""
        return version_of(self.folder)


def version_of(folder: Path) -> int:
    """What changes with a mosaic's tiles and its record."""
    paths = [path for path in (folder / "tiles", folder / RECORD) if path.exists()]
    return sum(path.stat().st_mtime_ns // 10**6 for path in paths)


def is_begun(folder: Path) -> bool:
    """Whether a mosaic's record says how it is made, which it does a moment after it is there."""
    return "settings" in (read_record(folder) or {})


def show(folder: Path) -> Shown:
    """Read a mosaic's folder, finished or not; raises Missing when it holds none."""
    if found := read_shown(folder):
        return found
    raise Missing("There is no mosaic here that says how it is made.")


def read_shown(folder: Path) -> Shown | None:
    """Read a mosaic's folder, finished or not; None where nothing says how one is made."""
    record = read_record(folder)
    if record is None or "settings" not in record:
        return None
    settings = resolve(recorded=checked_tables(record["settings"], str(folder / RECORD)))
    return Shown(folder.name, folder, settings, make_grid(settings), record)
