"""Contact sheets: pictures side by side with a label above each column and before each row."""

from collections.abc import Sequence
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont
from PIL.PngImagePlugin import PngInfo

from ..configs.files import replacing

MARGIN = 6
LABEL = 18  # px, height of the column labels
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

    shows: what they were made of, for `sheet_shows`.
    """
    font = ImageFont.load_default(12)
    widest = max((font.getlength(name) for name in names), default=-2 * MARGIN)
    top, left = (LABEL if columns else 0), round(widest) + 2 * MARGIN
    width, height = max(map(len, rows)) * (side + MARGIN), len(rows) * (side + MARGIN)
    sheet = Image.new("RGB", (left + width, top + height), "white")
    pen = ImageDraw.Draw(sheet)
    for column, text in enumerate(columns):
        pen.text((left + column * (side + MARGIN), 2), text, "black", font)
    for row, text in enumerate(names):
        pen.text((2, top + row * (side + MARGIN) + side // 2), text, "black", font)
    for row, pictures in enumerate(rows):
        for column, picture in enumerate(pictures):
            place = (left + column * (side + MARGIN), top + row * (side + MARGIN))
            sheet.paste(_fitted(picture, side), place)
    with replacing(path) as temporary:
        about = PngInfo()
        about.add_itxt(SHOWS, shows)
        sheet.save(temporary, format="PNG", pnginfo=about)


def sheet_shows(path: Path) -> str:
    """What the sheet at `path` was made of; nothing where there is no sheet."""
    if not path.is_file():
        return ""
    with Image.open(path) as sheet:
        return sheet.info.get(SHOWS, "")


def _fitted(picture: Image.Image, side: int) -> Image.Image:
    scale = side / max(picture.size)
    size = (max(1, round(picture.width * scale)), max(1, round(picture.height * scale)))
    return picture.convert("RGB").resize(size, Image.Resampling.LANCZOS)
