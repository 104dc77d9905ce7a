"""The pages of a day's report: a card for each order, with a thumbnail of what was drawn."""

from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from PIL import Image

from ..press.lettering import readable
from ..press.paper import A4, DPI, GREY, Paper
from ..press.sizes import pixels
from .entry import Entry
from .states import DELIVERED

if TYPE_CHECKING:
    from .report import Day

MARGIN, GAP = 12, 3  # mm
COLUMNS, CARD = 3, 22  # cards beside each other, and their height in mm
WIDTH = (A4[0] - 2 * MARGIN - (COLUMNS - 1) * GAP) / COLUMNS
HEAD, FOOT = 24, 8  # mm
ROWS = int((A4[1] - 2 * MARGIN - HEAD - FOOT) // (CARD + GAP))
PER_PAGE = COLUMNS * ROWS
SMALL = 6.5  # points
MOST = 130  # characters of a reason that a card has room for
RED = (170, 30, 30)
THUMBNAILS = ("proof.jpg", "mosaic.png")


def pages(day: "Day", head: Sequence[str]) -> Iterator[Paper]:
    """The pages one at a time, at least one; head: lines above the first one's cards."""
    count = max(1, -(-len(day.entries) // PER_PAGE))
    for number in range(count):
        paper = Paper()
        y = paper.text(f"Orders of {day.day}", MARGIN, MARGIN, points=16)
        for line in head if number == 0 else ():
            y = paper.text(line, MARGIN, y, width=A4[0] - 2 * MARGIN)
        cards = day.entries[number * PER_PAGE : (number + 1) * PER_PAGE]
        for place, entry in enumerate(cards):
            row, column = divmod(place, COLUMNS)
            _card(paper, entry, MARGIN + column * (WIDTH + GAP),
                  MARGIN + HEAD + row * (CARD + GAP))  # fmt: skip
        _foot(paper, cards, f"Page {number + 1} of {count}")
        yield paper


def _foot(paper: Paper, cards: Sequence[Entry], words: str) -> None:
    """Say that names are written in other letters, where they are."""
    names = {name for entry in cards for name in (entry.reference, _customer(entry))}
    if any(readable(name) != name for name in names):
        words += ". Names in scripts that no font of this machine has are written in Latin letters"
    paper.text(words, MARGIN, A4[1] - MARGIN - FOOT / 2, points=SMALL, width=190, ink=GREY)


def _customer(entry: Entry) -> str:
    return entry.order.customer if entry.order else ""


def _card(paper: Paper, entry: Entry, x: float, y: float) -> None:
    paper.frame((x, y, x + WIDTH, y + CARD), GREY, width=1)
    picture = thumbnail(entry, pixels(CARD - 2, DPI))
    if picture is not None:
        paper.place(picture, x + 1, y + 1, CARD - 2)
    left, down = x + (CARD if picture else 2), y + 1
    room = x + WIDTH - 1 - left
    for words, ink in _lines(entry):
        if words and down < y + CARD - 3:
            down = paper.text(words, left, down, points=SMALL, width=room, ink=ink)


def _lines(entry: Entry) -> list[tuple[str, tuple[int, int, int]]]:
    """What a card says, with its ink: who, what, how long, and what went wrong."""
    ink = (34, 34, 34)
    order = entry.order
    what = f"{order.copies} x {order.product or order.size or 'mosaic'}" if order else ""
    took = sum(entry.took.values())
    state = entry.state if entry.state == DELIVERED else f"{entry.state}: {entry.reason}"
    return [
        (entry.reference, ink), (_customer(entry), ink), (what, GREY),
        (f"{took:.0f} s" if took else "", GREY),
        (_short(state, MOST), GREY if entry.state == DELIVERED else RED),
    ]  # fmt: skip


def _short(words: str, most: int) -> str:
    return words if len(words) <= most else f"{words[: most - 3]}..."


def thumbnail(entry: Entry, side: int) -> Image.Image | None:
    """The picture of an order in small, None where it has none or it cannot be read."""
    for name in THUMBNAILS:
        if path := entry.outputs.get(name):
            with suppress(OSError, ValueError, SyntaxError, Image.DecompressionBombError):
                return _reduced(path, side)
    return None


def _reduced(path: Path, side: int) -> Image.Image:
    with Image.open(path) as image:
        image.draft("RGB", (side, side))
        image.thumbnail((side, side))
        return image.convert("RGB")
