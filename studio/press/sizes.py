"""How large a mosaic is printed, and which grid suits a print.

The trade's bar: a tile is no smaller than 13 mm (AndreaMosaic), and no more tiles than needed, as
large cells are what customers come to like (Mosaically, PictureMosaics).
"""

import math
import re
from dataclasses import dataclass
from pathlib import Path

from ...configs.errors import InputError
from ...configs.product import ProductSettings, load_product, with_changes
from ...configs.settings import Settings
from ...generate.grid import MAX_SIDE

MM_PER_INCH = 25.4
MIN_TILE_MM = 13
SPARE = 1.15  # so much finer a grid may be, to come nearer to the print's aspect
LEAST_DPI = 150  # what labs call too low
UNITS = {"mm": 1.0, "cm": 10.0, "m": 1000.0, "in": MM_PER_INCH}
_SIZE = re.compile(r"\s*([\d.]{1,9})\s*[xX×]\s*([\d.]{1,9})\s*([a-z]{0,4})\s*")


def pixels(mm: float, dpi: float) -> int:
    """A length in whole pixels."""
    return round(mm / MM_PER_INCH * dpi)


def chosen_product(text: str) -> ProductSettings:
    """The product that "60x40cm", "24x16in", a shipped name or a TOML file stands for.

    Raises InputError for a size without a unit, or anything else.
    """
    match = _SIZE.fullmatch(text)
    return load_product(text) if match is None else sized(text)


def sized(text: str) -> ProductSettings:
    """A plain print of a size, width first; raises InputError for anything that is no size."""
    match = _SIZE.fullmatch(text)
    if match is None or match[3] not in UNITS:
        raise InputError(
            f'"{text}" is no size; write WIDTHxHEIGHT and mm, cm, m or in: 60x40cm, 24x16in.'
        )
    try:
        width, height = (float(part) * UNITS[match[3]] for part in match.groups()[:2])
    except ValueError as error:
        raise InputError(f'--size "{text}": a number has one point at most.') from error
    name = re.sub(r"\s", "", text).replace("×", "x")
    return ProductSettings(width=width, height=height, name=name, title=f"{name} print")


def turned(product: ProductSettings, rows: float, cols: float) -> ProductSettings:
    """The product upright or across, as a picture of these proportions is."""
    if rows != cols and (rows > cols) != (product.height > product.width):
        return with_changes(product, width=product.height, height=product.width)
    return product


@dataclass(frozen=True)
class Layout:
    """A grid of tiles on a product; tiles are scaled to fill it, what stands over is cut off."""

    rows: int
    cols: int
    tile: int
    """Side of a tile as it was drawn, in pixels."""
    product: ProductSettings

    @property
    def tile_mm(self) -> float:
        """Side of a printed tile."""
        return max(self.product.width / self.cols, self.product.height / self.rows)

    @property
    def native_dpi(self) -> float:
        """Drawn pixels per printed inch."""
        return self.tile / self.tile_mm * MM_PER_INCH

    @property
    def enlargement(self) -> float:
        """How many printed pixels a drawn one becomes, per axis."""
        return self.product.dpi / self.native_dpi

    @property
    def cut_mm(self) -> float:
        """What is cut off on each of two sides, as the print has another aspect than the grid."""
        wide, high = self.cols * self.tile_mm, self.rows * self.tile_mm
        return max(wide - self.product.width, high - self.product.height) / 2

    def sentence(self) -> str:
        """Tiles, their size, resolution and enlargement, in words."""
        to = f"to {self.product.dpi} dpi"
        enlarged = f"enlarged {self.enlargement:.2f} times {to}"
        if self.enlargement < 1:
            enlarged = f"reduced {to}"
        cut = f"; {self.cut_mm:.1f} mm cut off on two sides" if self.cut_mm >= 0.5 else ""
        return (
            f"{self.rows} x {self.cols} tiles of {self.tile_mm:.1f} mm on {size_text(self.product)}"
            f"; {self.native_dpi:.0f} dpi as drawn, {enlarged}{cut}"
        )

    def warnings(self) -> list[str]:
        """What a customer would complain of, with the grid that would do."""
        better = choose_grid(self.product, self.tile)
        grid = f"--grid {better.rows}x{better.cols}"
        found = []
        if self.native_dpi < LEAST_DPI and better.native_dpi > self.native_dpi:
            found.append(
                f"{self.native_dpi:.0f} dpi as drawn is too low for {size_text(self.product)}; a "
                f"mosaic of {grid} has {better.native_dpi:.0f} dpi."
            )
        if self.tile_mm < MIN_TILE_MM - 1e-6:
            found.append(
                f"Tiles of {self.tile_mm:.1f} mm are too small to look at; a mosaic of {grid} has "
                f"tiles of {better.tile_mm:.1f} mm."
            )
        if self.cut_mm > self.tile_mm / 4:
            found.append(
                f"{self.cut_mm:.0f} mm are cut off on two sides, as the print has another aspect; "
                f"a mosaic of {grid} fits."
            )
        return found


def size_text(product: ProductSettings) -> str:
    """Width and height of a product in cm."""
    return f"{product.width / 10:g} x {product.height / 10:g} cm"


def choose_grid(product: ProductSettings, tile: int) -> Layout:
    """The grid for a print: as few tiles as its resolution needs, none smaller than 13 mm.

    tile: side of a drawn tile in pixels. A somewhat finer grid is taken where it comes nearer to
    the print's aspect.
    """
    long, short = sorted((product.width, product.height), reverse=True)
    most = max(1, min(MAX_SIDE, math.floor(long / MIN_TILE_MM + 1e-9)))
    needed = max(1, math.ceil(long / MM_PER_INCH * product.dpi / tile - 1e-9))
    first = min(needed, most)
    counts = range(first, min(most, math.ceil(first * SPARE)) + 1)
    if needed >= most:  # 13 mm decide: coarser ones are as good
        counts = range(most, max(1, math.floor(most / SPARE)) - 1, -1)
    pairs = [(n, min(n, max(1, round(n * short / long)))) for n in counts]
    n, m = min(pairs, key=lambda pair: round(abs(pair[1] / pair[0] * long / short - 1), 2))
    rows, cols = (m, n) if product.width >= product.height else (n, m)
    return Layout(rows, cols, tile, product)


def layout_for(text: str, settings: Settings) -> Layout:
    """The grid with which a mosaic of these settings fills the print that a user names.

    A product is turned as the reference photo is. Raises InputError as `chosen_product` does.
    """
    picture = settings.mosaic.picture
    product = chosen_product(text)
    if picture.ref and _SIZE.fullmatch(text) is None:
        product = turned(product, *_proportions(picture.ref))
    return choose_grid(product, picture.tile_size or settings.base.resolution)


def _proportions(ref: str) -> tuple[int, int]:
    """Height and width of a photo, upright; of no account where it cannot be read."""
    from PIL import Image, ImageOps

    from ...configs.files import user_path

    try:
        with Image.open(Path(user_path(ref))) as image:
            turn = image.getexif().get(0x0112, 1)
            width, height = image.size
    except (OSError, ValueError, ImageOps.Image.DecompressionBombError):
        return 1, 1  # what is wrong with it is said when it is checked
    return (width, height) if turn in (5, 6, 7, 8) else (height, width)
