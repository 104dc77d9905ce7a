"""The real photos that go among a mosaic's tiles: which, how, and where a user wants them."""

import csv
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ..configs.errors import InputError
from ..configs.files import file_hash, user_path
from ..configs.methods import PoolSettings
from ..configs.mosaic import MosaicSettings
from ..configs.photos import DRAWN, PHOTO_MODES, PLACED, PhotoSettings
from ..configs.regions import read_box
from ..models.concept_files import composed
from ..models.photos import check_header
from .grid import MIN_TILE, Grid, Tile
from .methods.pictures import Source, picture_files, pictures_hash
from .subjects import Subject

SHARE = 0.3  # of the tiles, where nobody says how many photos there should be
PHOTO = "photo"  # in messages
MAX_CSV = 2**24  # bytes


@dataclass(frozen=True)
class Photo:
    """A photo of the user's."""

    file: Path
    how: str
    """"placed" as it is, or "drawn" over."""
    name: str = ""
    """A guest's, where the user gave it."""


@dataclass(frozen=True)
class PhotoPlan:
    """The photos of a mosaic, as far as they are known before it has a reference."""

    photos: tuple[Photo, ...] = ()
    """All that can be read, by file name; each appears at least once."""
    fixed: tuple[tuple[Tile, Photo], ...] = ()
    """Those that the user gave a place."""
    spots: tuple[Tile, ...] = ()
    """Where the others may lie."""
    count: int = 0
    """Tiles that are to be photos, by hand or not."""
    unread: tuple[str, ...] = ()
    """What is wrong with each photo that cannot be read."""

    @property
    def free(self) -> list[Photo]:
        """The photos without a place."""
        placed = {photo.file for _, photo in self.fixed}
        return [photo for photo in self.photos if photo.file not in placed]

    def sentence(self, tiles: int) -> str:
        """How many photos go where, for --dry-run."""
        hows = Counter(photo.how for photo in self.photos)
        repeats = self.count - len(self.fixed) - len(self.free)
        left_out = f"left out: {'; '.join(self.unread)}" if self.unread else ""
        parts = [
            f"{len(self.photos)} in {self.count} of {tiles} tiles, each at least once",
            f"{hows[PLACED]} placed as they are" if hows[PLACED] else "",
            f"{hows[DRAWN]} drawn over" if hows[DRAWN] else "",
            f"{len(self.fixed)} by hand" if self.fixed else "",
            f"up to {repeats} repeats" if repeats else "",
            left_out,
        ]
        return "; ".join(filter(None, parts))

    def spared(self, strength: float) -> float:
        """About how many drawn tiles' work the photos save."""
        if not self.photos:
            return 0.0
        each = (1.0 if photo.how == PLACED else 1 - strength for photo in self.photos)
        return self.count * sum(each) / len(self.photos)


@dataclass(frozen=True)
class Row:
    """A line of the CSV."""

    file: str
    tile: Tile | None
    how: str
    name: str


def source_of(photo: Photo) -> Source:
    """The photo as what methods read pictures from."""
    return Source(photo.file, Subject("", ""), PHOTO)


def plan_photos(mosaic: MosaicSettings, grid: Grid) -> PhotoPlan:
    """Look at the photos' headers and at what the user says of places; decodes nothing.

    Raises InputError for a folder without photos, a CSV or region that cannot be read, places
    outside the grid or taken twice, and more photos than tiles. A photo that cannot be read is left
    out and told in `unread`.
    """
    own = mosaic.photos
    if not own.wanted:
        return PhotoPlan()
    if isinstance(mosaic.method, PoolSettings):
        raise InputError(
            f"--method {mosaic.method.name} makes all tiles of pictures; leave --tile-photos out, "
            "or give the folder as mosaic.pool."
        )
    rows = read_places(user_path(own.photo_places), grid) if own.photo_places else []
    photos, unread = _readable(_files(own, rows), rows, own.photo_mode)
    by_name = {composed(photo.file.name): photo for photo in photos}
    fixed = tuple(
        (row.tile, by_name[row.file]) for row in rows if row.tile and row.file in by_name
    )
    taken = {tile for tile, _ in fixed}
    inside = in_region(own.photos_in, grid)
    plan = PhotoPlan(
        tuple(photos), fixed, tuple(tile for tile in inside if tile not in taken), 0, unread
    )
    return replace(plan, count=_count(own, plan, len(inside)))


def _files(own: PhotoSettings, rows: Iterable[Row]) -> dict[str, Path]:
    """Files by composed name: the folder's, and those of the CSV, which may not be there."""
    folder = user_path(own.tile_photos or str(Path(own.photo_places).parent))
    found = picture_files(own.tile_photos, "--tile-photos") if own.tile_photos else []
    there = {composed(path.name): path for path in found}
    return {row.file: folder / row.file for row in rows} | there


def _readable(
    files: Mapping[str, Path], rows: Iterable[Row], how: str
) -> tuple[list[Photo], tuple[str, ...]]:
    """The photos whose headers can be read, by name, and what is wrong with the others."""
    said = {row.file: row for row in rows}
    photos, unread = [], []
    for name in sorted(files):
        try:
            check_header(files[name], PHOTO, MIN_TILE)
        except InputError as error:
            unread.append(str(error).rstrip("."))
            continue
        row = said.get(name, Row(name, None, "", ""))
        photos.append(Photo(files[name], row.how or how, row.name))
    if not photos:
        raise InputError(f"None of the {len(files)} photos can be read: {unread[0]}.")
    return photos, tuple(unread)


def _count(own: PhotoSettings, plan: PhotoPlan, inside: int) -> int:
    """How many tiles are to be photos; raises InputError where the photos need more."""
    needed = len(plan.fixed) + len(plan.free)
    share = own.photo_share
    if share is None:
        share = 1.0 if own.photos_in else SHARE if own.tile_photos else 0.0
        wanted = max(round(share * inside), needed)
    else:
        wanted = round(share * inside)
    room = max(0, min(wanted - len(plan.fixed), len(plan.spots)))
    if len(plan.free) > room:
        raise InputError(
            f"{len(plan.free)} photos are to appear, and there are {room} tiles for them; "
            "raise --photo-share, take a larger --photos-in or --grid, or fewer photos."
        )
    return len(plan.fixed) + room


def in_region(text: str, grid: Grid) -> list[Tile]:
    """The tiles whose middles lie in a region "left,top,right,bottom" of shares; all for "".

    Raises InputError when the text is no region or no tile lies in it.
    """
    if not text:
        return grid.tiles
    left, top, right, bottom = read_box(text, "--photos-in")
    found = [
        (row, col) for row, col in grid.tiles
        if top <= (row + 0.5) / grid.rows <= bottom and left <= (col + 0.5) / grid.cols <= right
    ]  # fmt: skip
    if not found:
        raise InputError(f'No tile\'s middle lies in --photos-in "{text}"; take a larger region.')
    return found


def read_places(path: Path, grid: Grid) -> list[Row]:
    """The lines of a CSV of places, its tiles counted from 0 as everywhere inside.

    Raises InputError, which names the line, for one that cannot be understood.
    """
    rows, taken = [], {}
    for number, cells in _lines(path):
        row = _row(cells, grid, f"{path}, line {number}")
        if row.tile in taken:
            raise InputError(
                f"{path}, line {number}: row {row.tile[0] + 1}, column {row.tile[1] + 1} is taken "
                f"in line {taken[row.tile]}."
            )
        if row.tile:
            taken[row.tile] = number
        rows.append(row)
    if not rows:
        raise InputError(f"{path} names no photo; write lines of row, col and file.")
    return rows


def _lines(path: Path) -> Iterator[tuple[int, dict[str, str]]]:
    """The CSV's lines by their number, with cells by column; raises InputError."""
    try:
        if path.stat().st_size > MAX_CSV:
            raise InputError(f"{path} is too large to be a list of photos.")
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        fault = getattr(error, "strerror", None) or "it is no text in UTF-8"
        raise InputError(f"Cannot read --photo-places {path}: {fault}.") from error
    first = text.partition("\n")[0]
    delimiter = ";" if ";" in first and "," not in first else ","  # as some countries' Excel
    table = csv.DictReader(text.splitlines(), delimiter=delimiter, strict=True)
    try:
        names = [name.strip().lower() for name in table.fieldnames or ()]
        if not {"row", "col", "file"} <= set(names):
            raise InputError(f"{path} needs a first line with the columns row, col and file.")
        table.fieldnames = names
        for cells in table:
            yield table.line_num, {k: str(v or "").strip() for k, v in cells.items() if k}
    except csv.Error as error:
        raise InputError(f"{path}, line {table.line_num + 1}: {error}.") from error


def _row(cells: Mapping[str, str], grid: Grid, where: str) -> Row:
    file, how = composed(cells["file"]), cells.get("how", "").lower()
    if not file or Path(file).name != file:
        raise InputError(f'{where}: file must be a photo\'s name without a folder, not "{file}".')
    if how and how not in PHOTO_MODES:
        raise InputError(f'{where}: how must be {" or ".join(PHOTO_MODES)}, not "{how}".')
    place = cells["row"], cells["col"]
    tile = _tile(place, grid, where) if any(place) else None
    return Row(file, tile, how, cells.get("name", ""))


def _tile(place: tuple[str, str], grid: Grid, where: str) -> Tile:
    for text, most, what in zip(place, (grid.rows, grid.cols), ("row", "col"), strict=True):
        if not re.fullmatch(r"\d{1,9}", text) or not 1 <= int(text) <= most:
            raise InputError(f'{where}: {what} must be a number from 1 to {most}, not "{text}".')
    return int(place[0]) - 1, int(place[1]) - 1


def photo_identity(own: PhotoSettings) -> dict[str, Any]:
    """Hashes of the photos, names and contents, and of the CSV; empty where there are none."""
    path = user_path(own.photo_places)
    places = file_hash(path)[:16] if own.photo_places else ""
    files = picture_files(own.tile_photos, "--tile-photos") if own.tile_photos else []
    if own.photo_places and not own.tile_photos:
        with_names = {cells.get("file", "") for _, cells in _lines(path)}
        files = sorted(p for name in with_names if name and (p := path.parent / name).is_file())
    return {"tile_photos": pictures_hash(files) if files else "", "photo_places": places}
