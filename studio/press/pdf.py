"""PDF around finished JPEGs: pages of the right size, boxes for cutting, provenance."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from PIL import Image

from ..extra import require
from .geometry import Axis, Page

POINTS = 72  # per inch
MAX_POINTS = 14_400  # the longest side that readers take


def points(px: float, dpi: float) -> float:
    """A length in PDF's unit."""
    return px / dpi * POINTS


def write_pdf(
    pictures: Path | Sequence[Path], pages: Sequence[Page], path: Path, xmp: bytes, title: str
) -> None:
    """Put one JPEG per page into a PDF as it is, with TrimBox, BleedBox and an XMP packet.

    pages: sizes and cuts, one per JPEG.
    """
    img2pdf, pikepdf = (require(name, path.name) for name in ("img2pdf", "pikepdf"))
    files = [pictures] if isinstance(pictures, Path) else pictures
    layout = img2pdf.get_fixed_dpi_layout_fun((pages[0].dpi, pages[0].dpi))
    plain = path.with_name(".plain-" + path.name.lstrip("."))
    try:
        with any_size(), plain.open("wb") as out:
            names = [str(file) for file in files]
            img2pdf.convert(*names, outputstream=out, layout_fun=layout, title=title)
        with pikepdf.open(plain) as document:
            for sheet, page in zip(document.pages, pages, strict=True):
                sheet.bleedbox = _box(page, page.cols.bleed, page.rows.bleed)
                sheet.trimbox = _box(page, page.cols.trim, page.rows.trim)
            packet = document.make_stream(xmp)
            packet.Type, packet.Subtype = pikepdf.Name.Metadata, pikepdf.Name.XML
            document.Root.Metadata = packet
            document.save(path)
    finally:
        plain.unlink(missing_ok=True)


def _box(page: Page, across: tuple[int, int], down: tuple[int, int]) -> list[float]:
    """Left, bottom, right and top in points; PDF counts from the bottom."""
    left, right = (points(px, page.dpi) for px in across)
    top, bottom = (points(page.rows.size - px, page.dpi) for px in down)
    return [left, bottom, right, top]


def plain_sheet(width: int, height: int, dpi: float) -> Page:
    """A page that is not cut, such as a proof sheet's."""
    import numpy as np

    def axis(size: int) -> Axis:
        return Axis(np.array([0, size]), np.arange(size), (0, size), (0, size))

    return Page(axis(height), axis(width), dpi)


@contextmanager
def any_size() -> Iterator[None]:
    """Let Pillow look at the headers of our own files, however large they are."""
    before, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
    try:
        yield
    finally:
        Image.MAX_IMAGE_PIXELS = before
