"""The locator sheet: which panel goes where, how large each is, and where to cut."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ...configs.files import write_text
from ...configs.product import ProductSettings
from ...generate.locator import COLUMNS, as_csv, photo_rows
from .finished import Finished
from .geometry import Axis, Page
from .paper import A4, DPI, Paper, write_papers
from .proof import shrunk
from .sizes import MM_PER_INCH, pixels, size_text

SIDE = 1400  # px of the small picture
MARGIN, BOX = 15, 180  # mm


def write_locator(
    mosaic: Finished, product: ProductSettings, pages: Sequence[Page], path: Path
) -> Path:
    """Write an A4 sheet in PDF with the panels drawn on the mosaic and listed below it."""
    paper = Paper()
    top = paper.text(f"{mosaic.name}: {size_text(product)}", MARGIN, MARGIN, points=16) + 4
    rows, cols = (max(_place(page)[axis] for page in pages) + 1 for axis in (0, 1))
    # The picture as it is cut: a product of another aspect hides some of the mosaic's edges.
    bottom = paper.place(_trimmed(mosaic, product), MARGIN, top, BOX)
    scale = BOX / max(product.width, product.height)
    wide, high = product.width * scale / cols, product.height * scale / rows
    for page in pages:
        row, col = _place(page)
        left, upper = MARGIN + col * wide, top + row * high
        paper.frame((left, upper, left + wide, upper + high), ink=(255, 255, 255), width=6)
        paper.frame((left, upper, left + wide, upper + high))
        _label(paper, page.name, left, upper)
    y = bottom + 8
    for line in _lines(product, pages):
        y = paper.text(line, MARGIN, y, width=A4[0] - 2 * MARGIN)
    return write_papers([paper], path, mosaic.xmp, f"{mosaic.name}, panels")


def write_places(mosaic: Finished, pages: Sequence[Page], path: Path) -> Path:
    """Write a CSV of where each photo lies, with the panel that it is printed on."""
    rows = [(*found, panel_of(pages, found[2] - 1, found[3] - 1))
            for found in photo_rows(mosaic.tiles)]  # fmt: skip
    write_text(path, as_csv((*COLUMNS, "panel"), rows))
    return path


def panel_of(pages: Sequence[Page], row: int, col: int) -> str:
    """The panel on which a tile's middle is printed, "" where it is cut off."""
    return next(
        (p.name for p in pages if _shows(p.rows, row) and _shows(p.cols, col)), ""
    )


def _shows(axis: Axis, tile: int) -> bool:
    first, last = axis.trim
    middle = (axis.edges[tile] + axis.edges[tile + 1]) // 2
    return bool((axis.places[first:last] == middle).any())


def _trimmed(mosaic: Finished, product: ProductSettings) -> np.ndarray:
    picture = shrunk(mosaic, SIDE)
    high, wide = picture.shape[:2]
    scale = min(wide / product.width, high / product.height)
    height, width = round(product.height * scale), round(product.width * scale)
    top, left = (high - height) // 2, (wide - width) // 2
    return picture[top : top + height, left : left + width]


def _place(page: Page) -> tuple[int, int]:
    return ord(page.name[0]) - ord("A"), int(page.name[1:]) - 1


def _label(paper: Paper, name: str, left: float, top: float) -> None:
    paper.pen.rectangle(
        [pixels(mm, DPI) for mm in (left + 2, top + 2, left + 14, top + 9)],
        fill="white",
    )
    paper.text(name, left + 3.5, top + 2.5, points=14)


def _lines(product: ProductSettings, pages: Sequence[Page]) -> list[str]:
    lines = [
        f"Panels overlap by {product.overlap:g} mm inside and have {product.bleed:g} mm of bleed "
        "outside. Cut along the marks, or lay one panel over its neighbour up to them."
    ]
    for page in pages:
        width, height = (
            (axis.trim[1] - axis.trim[0]) / page.dpi * MM_PER_INCH
            for axis in (page.cols, page.rows)
        )
        sheet = " x ".join(f"{px / page.dpi * MM_PER_INCH:.0f}" for px in page.size)
        lines.append(f"{page.name}: {width:.1f} x {height:.1f} mm when cut, sheet of {sheet} mm")
    return lines
