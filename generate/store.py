"""The store: a mosaic's folder, whose finished tiles make restarts free."""

import json
import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from ..configs.claim import as_json, check_claim
from ..configs.errors import InputError
from ..configs.files import read_json, replacing, sweep, write_json
from ..configs.mosaic import MosaicSettings, setting_facts
from ..configs.tables import nothing_kept, photos_of_then, recorded
from ..models.concept_files import IMAGE_SUFFIXES
from ..models.pixels import to_image, to_pixels, write_png
from .grid import Grid, Tile

if TYPE_CHECKING:
    from torch import Tensor

RECORD = "mosaic.json"
REFERENCE = "reference.png"
MOSAIC = "mosaic.png"
FORMAT = 2  # of mosaic.json; the first had flat settings, and 0 for "auto"
UNFINISHED, FINISHED = "unfinished", "finished"  # its `state`
FACTS = "smalti"  # text chunk of a tile's PNG: its seed, concept and prompt as JSON


def tile_name(tile: Tile) -> str:
    """Name of a tile: "r03_c05"."""
    return f"r{tile[0]:02d}_c{tile[1]:02d}"


class Store:
    """A mosaic's folder: tiles/r03_c05.png, reference.png, mosaic.png and mosaic.json."""

    def __init__(self, folder: Path, grid: Grid):
        """Look at `folder`, which need not exist yet."""
        self.folder = folder
        self.grid = grid

    def path(self, tile: Tile) -> Path:
        """Where a tile lies."""
        return self.folder / "tiles" / f"{tile_name(tile)}.png"

    def claim(self, identity: dict[str, Any]) -> None:
        """Make the folder this mosaic's own, or make sure that it is already.

        identity: everything that a tile's picture depends on. Raises InputError when tiles made
        with another identity lie there.
        """
        if self.folder.exists() and not self.folder.is_dir():
            raise InputError(f"{self.folder} is a file; give --out the name of a folder.")
        sweep(self.folder, self.folder / "tiles", *self.folder.glob("*/tiles"))
        old = read_record(self.folder)
        if old is None:
            self._refuse_strangers()
            record = {"format": FORMAT, "state": UNFINISHED, "identity": as_json(identity)}
            self._write(record)
            return
        check_claim(
            old.get("identity", {}),
            identity,
            what=f"{self.folder} holds a mosaic",
            remedy="Choose another folder with --out, delete this one, or repeat the old settings.",
            defaults=as_json(MosaicSettings().flat())
            | {"precision": old.get("precision", identity["precision"])},
        )

    def update(self, **facts: Any) -> None:
        """Add facts to the record."""
        self._write({**(read_record(self.folder) or {}), **facts})

    def _write(self, record: dict[str, Any]) -> None:
        write_json(self.folder / RECORD, record)

    def _refuse_strangers(self) -> None:
        ours = [self.folder / REFERENCE, self.folder / MOSAIC]
        found = [path for path in ours if path.exists()]
        if found or any((self.folder / "tiles").glob("r*_c*.png")):
            raise InputError(
                f"{self.folder} holds {found[0].name if found else 'tiles'} but no readable "
                f"{RECORD}, so nobody knows how it was made. Choose another folder with --out."
            )
        there = self.folder.iterdir() if self.folder.is_dir() else ()
        if photos := sorted(p.name for p in there if p.suffix.lower() in IMAGE_SUFFIXES):
            raise InputError(
                f"{self.folder} holds other pictures ({photos[0]}). Choose another folder with "
                "--out."
            )

    def check_base(self, fingerprint: str) -> None:
        """Raise InputError when the tiles that are there were drawn by other weights."""
        old = self.recorded("base_fingerprint")
        if old not in (None, fingerprint):
            raise InputError(
                f"{self.folder} was begun with other weights of the base model ({old}, now "
                f"{fingerprint}). Choose another folder with --out, or delete this one."
            )

    def recorded(self, name: str) -> Any:
        """One fact from the record, None where it is not there."""
        return (read_record(self.folder) or {}).get(name)

    @property
    def is_finished(self) -> bool:
        """Whether mosaic.png and its metrics are those of the tiles that are there."""
        return self.recorded("state") == FINISHED

    def missing(self, among: Iterable[Tile] | None = None) -> list[Tile]:
        """Tiles that are not there yet, or damaged, row by row; of all, or among some."""
        tiles = self.grid.tiles if among is None else sorted(among)
        return [tile for tile in tiles if not self._is_whole(tile)]

    def _is_whole(self, tile: Tile) -> bool:
        try:
            with Image.open(self.path(tile)) as image:
                size = image.size
                image.verify()
        except (OSError, SyntaxError, ValueError):
            return False
        return size == (self.grid.tile, self.grid.tile)

    def save(self, tile: Tile, image: "Tensor", facts: dict[str, Any], parameters: str) -> None:
        """Write a finished tile [3, h, w] in [0, 1]; nobody ever sees half of it."""
        text = {"parameters": parameters, FACTS: json.dumps(facts, sort_keys=True)}
        write_png(self.path(tile), to_pixels(image), text)

    def kept(self, tile: Tile) -> Path:
        """Where the tile lies that was there before it was drawn anew."""
        return self.folder / "replaced" / self.path(tile).name

    def keep(self, tile: Tile) -> None:
        """Put a copy of the tile aside, if there is one, before another is saved in its place."""
        if self._is_whole(tile):
            with replacing(self.kept(tile)) as temporary:
                shutil.copyfile(self.path(tile), temporary)

    def image(self, tile: Tile) -> "Tensor":
        """A finished tile [3, h, w] in [0, 1]."""
        with Image.open(self.path(tile)) as image:
            return to_image(np.asarray(image.convert("RGB")))

    def discard(self, tiles: Iterable[Tile]) -> None:
        """Take tiles away that are to be drawn again."""
        for tile in tiles:
            self.path(tile).unlink(missing_ok=True)

    def facts(self, tiles: Iterable[Tile]) -> dict[str, dict[str, Any]]:
        """What each tile's file says about itself: seed, concept, prompt."""
        found = {}
        for tile in tiles:
            with Image.open(self.path(tile)) as image:
                found[tile_name(tile)] = json.loads(image.info.get(FACTS, "{}"))
        return found

    def seed_of(self, tile: Tile) -> int | None:
        """The seed that a tile was drawn with, None where it is not there or does not say."""
        return self.facts([tile])[tile_name(tile)].get("seed") if self._is_whole(tile) else None

    def canvas(self) -> np.ndarray:
        """All tiles put together: 8-bit pixels [rows*tile, cols*tile, 3]."""
        side = self.grid.tile
        canvas = np.empty((*self.grid.canvas_size, 3), np.uint8)
        for row, col in self.grid.tiles:
            with Image.open(self.path((row, col))) as image:
                place = np.s_[row * side : (row + 1) * side, col * side : (col + 1) * side]
                canvas[place] = np.asarray(image.convert("RGB"))
        return canvas

    def save_reference(self, image: "Tensor") -> None:
        """Keep the reference [3, H, W] in [0, 1] in 8 bits."""
        write_png(self.folder / REFERENCE, to_pixels(image), {})

    def reference(self) -> "Tensor | None":
        """The reference [3, H, W] as it was kept, None when there is none yet."""
        try:
            with Image.open(self.folder / REFERENCE) as image:
                pixels = np.asarray(image.convert("RGB"))
        except (OSError, SyntaxError):
            return None
        return to_image(pixels) if pixels.shape[:2] == self.grid.reference_size else None


def read_record(folder: Path) -> dict[str, Any] | None:
    """The mosaic.json of a folder, None when there is none or it is no JSON object.

    One of an older smalti is told as today's would have written it.
    """
    record = read_json(folder / RECORD)
    if record is not None and record.get("format", 1) == 1:
        record = _as_of_today(record)
    identity = (record or {}).get("identity", {})
    return _as_photos_were(record, identity) if photos_of_then(identity) else record


def _as_photos_were(record: dict[str, Any], identity: dict[str, Any]) -> dict[str, Any]:
    """A record with photos that were drawn over as tiles are, with nothing kept."""
    kept = nothing_kept(identity["low_pass_cells"])
    settings = {"settings": recorded(record)} if "settings" in record else {}
    return record | settings | {"identity": identity | kept}


def _as_of_today(record: dict[str, Any]) -> dict[str, Any]:
    facts, identity = setting_facts(), record.get("identity", {})
    unset = [n for n, value in identity.items() if value == 0 and n in facts and facts[n].none]
    asked = identity.get("mixed_precision", "auto")  # what "auto" was then, nobody knows
    precision = {} if asked == "auto" else {"precision": asked}
    settings = {"settings": recorded(record)} if "settings" in record else {}
    identity = identity | dict.fromkeys(unset) | precision
    return record | settings | precision | {"format": FORMAT, "identity": identity}
