"""A mosaic in the terminal while it is drawn: half blocks, two pixels to a character."""

import os
from pathlib import Path

from PIL import Image, ImageOps
from rich.color import Color
from rich.console import Console, Group, RenderableType
from rich.style import Style
from rich.text import Text

from ..generate.grid import Grid
from ..generate.store import REFERENCE, Store

SIDE = 48  # pixels of the picture's longer side: 48 characters, or 24 lines
DIMMED = 0.35  # how much of the reference shows where no tile is yet
HALF = "▀"


class Preview:
    """What a mosaic's folder holds so far, as something that rich prints; reads each tile once."""

    def __init__(self, folder: Path, grid: Grid) -> None:
        self._folder, self._grid = folder, grid
        self._cell = SIDE // max(grid.rows, grid.cols)
        self._picture: Image.Image | None = None
        store = Store(folder, grid)
        self._unseen = {store.path(tile).name: tile for tile in grid.tiles}

    def __call__(self) -> RenderableType:
        """The picture as it is now; nothing where there is no reference yet."""
        if self._picture is None:
            self._picture = self._begin()
        if self._picture is None:
            return Group()
        self._add_tiles(self._picture)
        return half_blocks(self._picture)

    def _begin(self) -> Image.Image | None:
        """The reference, dimmed and without its colours, once it is there."""
        path = self._folder / REFERENCE
        if not path.is_file():
            return None
        size = (self._grid.cols * self._cell, self._grid.rows * self._cell)
        with Image.open(path) as reference:
            gray = ImageOps.grayscale(reference.convert("RGB").resize(size, Image.Resampling.BOX))
        return gray.point([int(DIMMED * value) for value in range(256)]).convert("RGB")

    def _add_tiles(self, picture: Image.Image) -> None:
        """Paste the tiles that have come since."""
        tiles = self._folder / "tiles"
        there = os.listdir(tiles) if tiles.is_dir() else ()
        for name in self._unseen.keys() & set(there):
            row, col = self._unseen.pop(name)
            with Image.open(tiles / name) as tile:
                small = tile.convert("RGB").resize((self._cell,) * 2, Image.Resampling.BOX)
            picture.paste(small, (col * self._cell, row * self._cell))


def half_blocks(picture: Image.Image) -> Text:
    """An RGB picture as text, one line for two rows of pixels; the last may have one only."""
    lines = []
    for top in range(0, picture.height, 2):
        line = Text()
        for x in range(picture.width):
            upper = Color.from_rgb(*picture.getpixel((x, top)))
            below = top + 1 < picture.height
            lower = Color.from_rgb(*picture.getpixel((x, top + 1))) if below else None
            line.append(HALF, Style(color=upper, bgcolor=lower))
        lines.append(line)
    return Text("\n").join(lines)


def preview_of(folder: Path, grid: Grid) -> Preview | None:
    """A preview for standard error, None where it is no terminal that can show one."""
    console = Console(stderr=True)
    able = console.is_terminal and console.color_system and not console.options.ascii_only
    roomy = console.width >= SIDE and console.height > SIDE // 2 + 2
    return Preview(folder, grid) if able and roomy and max(grid.rows, grid.cols) <= SIDE else None
