"""Where each pixel of a printed page comes from: trim, bleed, panels, all in whole pixels."""

import re
from dataclasses import dataclass, field, replace

import numpy as np

from ...configs.errors import InputError
from ...configs.product import ProductSettings
from ...generate.grid import Grid
from .sizes import pixels

PAPER = -1  # a place that shows no pixel of the mosaic
MAX_PANELS = 26
SLUG_MM = 10  # white around a panel, for its cut marks
GAP_MM = 2  # between picture and mark
MARK_MM = 6
LINE_MM = 0.25


@dataclass(frozen=True)
class Axis:
    """One axis of a page."""

    edges: np.ndarray
    """Where tiles begin and end on the scaled mosaic, [tiles + 1] in px."""
    places: np.ndarray
    """Which pixel of the scaled mosaic each pixel of the page shows, PAPER for none."""
    trim: tuple[int, int]
    """Where the page is cut, first and last + 1."""
    bleed: tuple[int, int]
    """Where the picture begins and ends: beyond it there is paper."""

    @property
    def size(self) -> int:
        """Length of the page in px."""
        return len(self.places)

    @property
    def tiles(self) -> np.ndarray:
        """Which tile each pixel of the page lies in, PAPER for none."""
        found = np.searchsorted(self.edges, self.places, side="right") - 1
        return np.where(self.places == PAPER, PAPER, found)


@dataclass(frozen=True)
class Page:
    """A sheet to be written: what its pixels show, and where it is cut."""

    rows: Axis
    cols: Axis
    dpi: float
    name: str = ""
    """Of a panel: its row as a letter, its column as a number."""
    ink: tuple[tuple[int, int, np.ndarray], ...] = field(default=(), repr=False)
    """Marks on the paper: top, left and their 8-bit pixels [h, w, 3]."""

    @property
    def size(self) -> tuple[int, int]:
        """Width and height in px."""
        return self.cols.size, self.rows.size


def mirrored(places: np.ndarray, length: int) -> np.ndarray:
    """Places on an endless row of mirrored copies, brought back to 0 ... length - 1."""
    around = places % (2 * length)
    return np.where(around < length, around, 2 * length - 1 - around)


def native_page(grid: Grid, dpi: float = 300.0) -> Page:
    """The mosaic itself, pixel by pixel."""
    return plain_page(grid, grid.tile * grid.cols, grid.tile * grid.rows, dpi)


def plain_page(grid: Grid, width: int, height: int, dpi: float = 300.0) -> Page:
    """The whole mosaic at another size, without bleed."""
    axes = [_axis(n, size, size, 0) for n, size in ((grid.rows, height), (grid.cols, width))]
    return Page(axes[0], axes[1], dpi)


def product_page(product: ProductSettings, grid: Grid) -> Page:
    """The mosaic on a product: square tiles that fill it, what stands over is cut off evenly."""
    bleed = pixels(product.bleed, product.dpi)
    trims = pixels(product.height, product.dpi), pixels(product.width, product.dpi)
    counts = grid.rows, grid.cols
    more = 2 * bleed if product.edge == "picture" else 0
    if min(trims) < 1:
        raise InputError(f"product {product.name} has no pixel at {product.dpi} dpi; raise it.")
    scale = max((trim + more) / count for trim, count in zip(trims, counts, strict=True))
    rows, cols = (
        _axis(count, max(trim + more, round(count * scale)), trim, bleed)
        for trim, count in zip(trims, counts, strict=True)
    )
    return Page(rows, cols, product.dpi)


def _axis(count: int, length: int, trim: int, bleed: int) -> Axis:
    """An axis of `count` tiles on `length` px, of which the middle is shown."""
    edges = np.round(np.arange(count + 1) * length / count).astype(int)
    first = (length - trim) // 2 - bleed
    places = mirrored(np.arange(first, first + trim + 2 * bleed), length)
    return Axis(edges, places, (bleed, bleed + trim), (0, len(places)))


def parse_panels(text: str) -> tuple[int, int]:
    """Rows and columns of "2x3"; raises InputError."""
    match = re.fullmatch(r"\s*(\d{1,2})\s*[xX×]\s*(\d{1,2})\s*", text)
    rows, cols = (int(match[1]), int(match[2])) if match else (0, 0)
    if not (1 <= rows <= MAX_PANELS and 1 <= cols <= MAX_PANELS):
        raise InputError(
            f'product.panels "{text}" is no split; write ROWSxCOLS such as "2x2", at most '
            f"{MAX_PANELS} each."
        )
    return rows, cols


def panels(page: Page, product: ProductSettings) -> list[Page]:
    """The page cut into panels that overlap, each with cut marks; the page itself for "1x1"."""
    rows, cols = parse_panels(product.panels)
    if (rows, cols) == (1, 1):
        return [page]
    overlap, slug = (pixels(mm, product.dpi) for mm in (product.overlap, SLUG_MM))
    found = [
        replace(
            page,
            rows=_panel_axis(page.rows, row, rows, overlap, slug),
            cols=_panel_axis(page.cols, col, cols, overlap, slug),
            name=f"{chr(ord('A') + row)}{col + 1}",
        )
        for row in range(rows) for col in range(cols)
    ]  # fmt: skip
    return [replace(panel, ink=cut_marks(panel)) for panel in found]


def panel_cuts(axis: Axis, count: int) -> list[int]:
    """Where panels meet on a page, its outer edges included."""
    first, last = axis.trim
    return [first + round(k * (last - first) / count) for k in range(count + 1)]


def _panel_axis(axis: Axis, index: int, count: int, overlap: int, slug: int) -> Axis:
    cuts = panel_cuts(axis, count)
    low, high = cuts[index], cuts[index + 1]
    first = 0 if index == 0 else max(0, low - overlap)
    last = axis.size if index == count - 1 else min(axis.size, high + overlap)
    paper = np.full(slug, PAPER)
    places = np.concatenate([paper, axis.places[first:last], paper])
    return Axis(
        axis.edges,
        places,
        (slug + low - first, slug + high - first),
        (slug, slug + last - first),
    )


def cut_marks(page: Page) -> tuple[tuple[int, int, np.ndarray], ...]:
    """A black line before and behind the picture at every edge that is cut."""
    gap, long = pixels(GAP_MM, page.dpi), pixels(MARK_MM, page.dpi)
    wide = max(1, pixels(LINE_MM, page.dpi))
    found = []
    for along, across, turn in ((page.rows, page.cols, False), (page.cols, page.rows, True)):
        line = np.zeros((long, wide, 3), np.uint8)
        for start in (along.bleed[0] - gap - long, along.bleed[1] + gap):
            for at in across.trim:
                top, left = start, at - wide // 2
                found.append((left, top, line.swapaxes(0, 1)) if turn else (top, left, line))
    return tuple(found)


def window(page: Page, top: int, left: int, height: int, width: int) -> Page:
    """A part of a page, as far as it reaches."""
    rows = replace(page.rows, places=page.rows.places[top : top + height])
    cols = replace(page.cols, places=page.cols.places[left : left + width])
    return replace(page, rows=rows, cols=cols, ink=())
