"""The sheet of a checked set: a verdict under each photo, and a table of what was measured."""

from collections.abc import Sequence
from pathlib import Path
from textwrap import wrap

from PIL import Image, ImageDraw, ImageFont

from ...configs.files import replacing
from .check import Checked, SetCheck
from .findings import BAD, WARN

COLUMNS, SIDE = 5, 200
MARGIN, LINE, FONT_SIZE = 10, 15, 12
LETTERS = 32  # of a line below a photo
LINES = 4  # below a photo; the table has all
COLORS = {BAD: "#b00020", WARN: "#a05a00", "": "#1b6e2e"}
PASSED = "good"
HEADER = ("photo", "size", "sharpness", "light", "subject", "verdict")
STOPS = (0, 190, 290, 370, 430, 500)  # px


def write_sheet(checked: SetCheck, path: Path) -> None:
    """Write the sheet as PNG; raises as `replacing` does."""
    rows = [checked.photos[at : at + COLUMNS] for at in range(0, len(checked.photos), COLUMNS)]
    cell = SIDE + (LINES + 1) * LINE + MARGIN
    table = table_of(checked)
    width = MARGIN + COLUMNS * (SIDE + MARGIN)
    height = 2 * MARGIN + len(rows) * cell + (len(table) + 1) * LINE
    sheet = Image.new("RGB", (width, height), "white")
    pen, font = ImageDraw.Draw(sheet), ImageFont.load_default(FONT_SIZE)
    for row, photos in enumerate(rows):
        for column, photo in enumerate(photos):
            corner = (MARGIN + column * (SIDE + MARGIN), MARGIN + row * cell)
            _draw_photo(sheet, pen, font, photo, corner)
    _draw_table(pen, font, table, MARGIN + len(rows) * cell)
    with replacing(path) as temporary:
        sheet.save(temporary, format="PNG")


def verdict(photo: Checked) -> list[str]:
    """What is said of a photo, a line for each finding."""
    return [finding.text for finding in photo.findings] or [PASSED]


def table_of(checked: SetCheck) -> list[tuple[tuple[str, ...], str]]:
    """Rows of the table, each with the level of its verdict; the set's own findings last."""
    rows = [(_row(photo), photo.level) for photo in checked.photos]
    whole = [(("all", "", "", "", "", f.text), f.level) for f in checked.findings]
    return [(HEADER, ""), *rows, *whole]


def _row(photo: Checked) -> tuple[str, ...]:
    said = "; ".join(verdict(photo))
    if photo.looks is None:
        return (photo.path.name, "", "", "", "", said)
    looks = photo.looks
    share = f"{looks.place.share:.0%}" if looks.place else "-"
    size = f"{looks.size[0]} x {looks.size[1]}"
    light = f"{looks.brightness:.0f}"
    return (photo.path.name, size, f"{looks.sharpness:.0f}", light, share, said)


def _draw_photo(
    sheet: Image.Image,
    pen: ImageDraw.ImageDraw,
    font: ImageFont.FreeTypeFont | ImageFont.ImageFont,
    photo: Checked,
    corner: tuple[int, int],
) -> None:
    left, top = corner
    color = COLORS[photo.level]
    if photo.small:
        small = photo.small.copy()
        small.thumbnail((SIDE, SIDE))
        sheet.paste(small, (left + (SIDE - small.width) // 2, top + (SIDE - small.height) // 2))
    pen.rectangle((left - 2, top - 2, left + SIDE + 1, top + SIDE + 1), outline=color, width=2)
    lines = [part for text in verdict(photo) for part in wrap(text, LETTERS)]
    for number, text in enumerate([photo.path.name[:LETTERS], *lines[:LINES]]):
        place = (left, top + SIDE + 4 + number * LINE)
        pen.text(place, text, color if number else "black", font)


def _draw_table(
    pen: ImageDraw.ImageDraw,
    font: ImageFont.FreeTypeFont | ImageFont.ImageFont,
    table: Sequence[tuple[tuple[str, ...], str]],
    top: int,
) -> None:
    for number, (cells, level) in enumerate(table):
        for stop, text in zip(STOPS, cells, strict=True):
            color = COLORS[level] if number and stop == STOPS[-1] else "black"
            pen.text((MARGIN + stop, top + number * LINE), text, color, font)
