"""Contact sheets: pictures side by side, a label above each column and before each row."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from PIL import Image, ImageDraw, ImageFont
from PIL.PngImagePlugin import PngInfo

from ..configs.files import replacing
from .pixels import to_pixels

if TYPE_CHECKING:
    from torch import Tensor

    Font = ImageFont.ImageFont | ImageFont.FreeTypeFont

MARGIN = 6  # px between pictures
LABEL = 18  # px, height of the column labels
FONT_SIZE = 12
SHOWS = "smalti:shows"  # PNG text chunk that tells what a sheet was made of


def contact_sheet(
    rows: Sequence[Sequence[Image.Image]],
    path: Path,
    *,
    columns: Sequence[str] = (),
    names: Sequence[str] = (),
    side: int = 320,
    shows: str = "",
) -> None:
    """Write `rows` of pictures to a PNG, each fitted into a square of `side` px.

    columns, names: labels of the columns, cut to their width, and of the rows; none without them.
    shows: what the pictures were made of, for `sheet_shows`.
    """
    font = ImageFont.load_default(FONT_SIZE)
    widest = max((font.getlength(name) for name in names), default=-2 * MARGIN)
    top, left = (LABEL if columns else 0), round(widest) + 2 * MARGIN
    pitch = side + MARGIN
    size = (left + max(map(len, rows)) * pitch, top + len(rows) * pitch)
    sheet = Image.new("RGB", size, "white")
    pen = ImageDraw.Draw(sheet)
    for column, text in enumerate(columns):
        pen.text((left + column * pitch, 2), _cut(text, side, font), "black", font)
    for row, text in enumerate(names):
        pen.text((2, top + row * pitch + side // 2), text, "black", font)
    for row, pictures in enumerate(rows):
        for column, picture in enumerate(pictures):
            sheet.paste(_fitted(picture, side), (left + column * pitch, top + row * pitch))
    _write(sheet, path, shows)


def in_rows(images: "Tensor", columns: int) -> list[list[Image.Image]]:
    """Images [K, 3, H, W] in [0, 1] as the rows of a sheet; the last one may be shorter."""
    pictures = [Image.fromarray(to_pixels(image)) for image in images]
    return [pictures[start : start + columns] for start in range(0, len(pictures), columns)]


def sheet_shows(path: Path) -> str:
    """What the sheet at `path` was made of; nothing where there is no sheet."""
    if not path.is_file():
        return ""
    with Image.open(path) as sheet:
        return sheet.info.get(SHOWS, "")


def _write(sheet: Image.Image, path: Path, shows: str) -> None:
    about = PngInfo()
    about.add_itxt(SHOWS, shows)
    with replacing(path) as temporary:
        sheet.save(temporary, format="PNG", pnginfo=about)


def _cut(text: str, width: int, font: "Font") -> str:
    """A label that does not run into its neighbour's."""
    while text and font.getlength(text) > width:
        text = text[:-2].rstrip() + "…" if len(text) > 2 else ""
    return text


def _fitted(picture: Image.Image, side: int) -> Image.Image:
    scale = side / max(picture.size)
    size = (max(1, round(picture.width * scale)), max(1, round(picture.height * scale)))
    return picture.convert("RGB").resize(size, Image.Resampling.LANCZOS)
