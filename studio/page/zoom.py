"""Pieces of a mosaic at every magnification, made of its tiles as they are at this moment.

At the deepest level a piece is a tile; one level up it is four of them, halved, and so on until one
piece is the whole mosaic. A tile that is not drawn yet shows its block of the reference, paler.
"""

import math
from collections import OrderedDict
from io import BytesIO
from pathlib import Path
from threading import Lock

from PIL import Image

from ...generate.grid import Grid, Tile
from ...generate.store import REFERENCE, Store

KEPT = 3000  # small pictures of tiles and pieces, about 50 kB each
LARGEST = 512  # px of a piece's side
QUALITY = 86
PALE = 0.55  # of white, over what is not drawn yet


class Zoom:
    """The pieces of every mosaic that is looked at, as far as they are kept."""

    def __init__(self) -> None:
        """Keep nothing yet."""
        self._kept: OrderedDict[tuple[object, ...], Image.Image] = OrderedDict()
        self._lock = Lock()

    def piece(self, folder: Path, grid: Grid, level: int, col: int, row: int) -> bytes:
        """A JPEG of a piece; level 0 is the whole mosaic, `levels(grid)` - 1 single tiles."""
        return jpeg(self._piece(folder, grid, level, col, row))

    def preview(self, folder: Path, grid: Grid) -> bytes:
        """A JPEG of the whole mosaic as far as it is drawn."""
        return self.piece(folder, grid, 0, 0, 0)

    def _piece(self, folder: Path, grid: Grid, level: int, col: int, row: int) -> Image.Image:
        span = 2 ** (levels(grid) - 1 - level)  # tiles along a side
        tiles = _tiles_of(grid, span, col, row)
        key = (folder, level, col, row, _version(folder, grid, tiles))
        with self._lock:
            if key in self._kept:
                self._kept.move_to_end(key)
                return self._kept[key]
        image = self._single(folder, grid, tiles[0]) if span == 1 else self._four(
            folder, grid, level, col, row
        )  # fmt: skip
        with self._lock:
            self._kept[key] = image
            while len(self._kept) > KEPT:
                self._kept.popitem(last=False)
        return image

    def _four(self, folder: Path, grid: Grid, level: int, col: int, row: int) -> Image.Image:
        """Four pieces of the next level, halved; fewer at the right and lower edge."""
        rows, cols = (2 ** (levels(grid) - 2 - level) for _ in range(2))
        parts = {
            (x, y): self._piece(folder, grid, level + 1, 2 * col + x, 2 * row + y)
            for x in (0, 1)
            for y in (0, 1)
            if (2 * col + x) * cols < grid.cols and (2 * row + y) * rows < grid.rows
        }
        left, upper = parts[0, 0].size
        wide = left + (parts[1, 0].width if (1, 0) in parts else 0)
        high = upper + (parts[0, 1].height if (0, 1) in parts else 0)
        whole = Image.new("RGB", (wide, high))
        for (x, y), part in parts.items():
            whole.paste(part, (x * left, y * upper))
        return whole.resize((math.ceil(wide / 2), math.ceil(high / 2)), Image.Resampling.BOX)

    def _single(self, folder: Path, grid: Grid, tile: Tile) -> Image.Image:
        side = piece_side(grid)
        try:
            with Image.open(Store(folder, grid).path(tile)) as image:
                return image.convert("RGB").resize((side, side), Image.Resampling.LANCZOS)
        except (OSError, SyntaxError, ValueError):
            return _undrawn(folder, grid, tile, side)


def levels(grid: Grid) -> int:
    """Levels of magnification."""
    return 1 + math.ceil(math.log2(max(grid.rows, grid.cols)))


def piece_side(grid: Grid) -> int:
    """Side of a piece in pixels: a tile's, as far as that is no more than anybody sees."""
    return min(grid.tile, LARGEST)


def jpeg(image: Image.Image) -> bytes:
    """A picture as JPEG."""
    stream = BytesIO()
    image.save(stream, "JPEG", quality=QUALITY)
    return stream.getvalue()


def _tiles_of(grid: Grid, span: int, col: int, row: int) -> list[Tile]:
    rows = range(row * span, min((row + 1) * span, grid.rows))
    cols = range(col * span, min((col + 1) * span, grid.cols))
    return [(r, c) for r in rows for c in cols]


def _version(folder: Path, grid: Grid, tiles: list[Tile]) -> int:
    """What changes whenever one of the tiles does."""
    store = Store(folder, grid)
    if len(tiles) > 1:  # any tile's change renames a file into the folder
        paths = [folder / "tiles", folder / REFERENCE]
    else:
        paths = [store.path(tiles[0]), folder / REFERENCE]
    return hash(tuple(p.stat().st_mtime_ns if p.exists() else 0 for p in paths))


def _undrawn(folder: Path, grid: Grid, tile: Tile, side: int) -> Image.Image:
    """The tile's block of the reference, paler; grey where that is not there yet either."""
    white = Image.new("RGB", (side, side), "white")
    try:
        with Image.open(folder / REFERENCE) as image:
            row, col = tile
            block = grid.block
            box = (col * block, row * block, (col + 1) * block, (row + 1) * block)
            shown = image.convert("RGB").crop(box).resize((side, side), Image.Resampling.BILINEAR)
    except (OSError, SyntaxError, ValueError):
        shown = Image.new("RGB", (side, side), "grey")
    return Image.blend(shown, white, PALE)
