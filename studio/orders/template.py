"""Write an example of a CSV and of an order's folder, which work as they are written."""

import csv
import io
import math
import os
from pathlib import Path
from typing import Any

import tomli_w
from PIL import Image, ImageDraw

from ...configs.errors import InputError
from ...configs.files import replacing, write_text
from ...models.concept_files import concept_files
from ...models.concepts import concept_folders
from .reading import COMMENT, LIST_SEPARATOR
from .ticket import Order

CSV, FOLDER = "orders.csv", "EXAMPLE-4"
PHOTOS, PICTURE = "photos/ball", "photos/landscape.jpg"
COUNT, SIDE = 8, 256
COLORS = ((214, 69, 65), (38, 120, 178), (240, 200, 70), (60, 160, 110), (150, 90, 170))
HINT = "a row that begins with # and a space is a comment, as these are"
EXAMPLES: tuple[dict[str, Any], ...] = (
    {"reference": "EXAMPLE-1", "customer": "Zoë Müller", "concept": PHOTOS, "class_word": "ball",
     "consent": True, "picture": PICTURE, "size": "20x20cm", "preset": "draft", "priority": 2},
    {"reference": "EXAMPLE-2", "customer": "王小明", "picture": PICTURE, "copies": 2,
     "tile_prompts": ["a red flower", "a blue flower"], "product": "card-10x15",
     "preset": "draft"},
)  # fmt: skip


def write_template(folder: Path, concepts_dir: Path) -> list[Path]:
    """Write the examples and the pictures that they name; returns the CSV and the folder.

    The first concept in `concepts_dir` that has photos joins the CSV. Raises InputError where one
    of them is there already, or nothing can be written.
    """
    written = [folder / CSV, folder / FOLDER]
    for path in written:
        if path.exists():
            raise InputError(f"{path} is there already; give another folder.")
    draw_photos(folder)
    draw_photos(folder / FOLDER)
    write_text(folder / FOLDER / "order.toml", ticket_text(EXAMPLES[0] | {"reference": FOLDER}))
    write_text(folder / CSV, csv_text([*EXAMPLES, *_of_concept(folder, concepts_dir)]))
    return written


def _of_concept(folder: Path, concepts_dir: Path) -> list[dict[str, Any]]:
    """An order of a concept that lies in `concepts_dir`, if there is one with photos."""
    for concept in concept_folders(concepts_dir):
        if concept_files(concept).photos:
            path = Path(os.path.relpath(concept, folder)).as_posix()
            words = {"picture_prompt": "a house on a hill", "preset": "draft", "grid": "8x8"}
            return [{"reference": "EXAMPLE-3", "customer": "Ελένη Παππά", "concept": path,
                     "consent": True, **words}]  # fmt: skip
    return []


def field_docs() -> dict[str, str]:
    """What each field of an order means."""
    return {
        name: " ".join((field.description or "").split())
        for name, field in Order.model_fields.items()
    }


def csv_text(orders: list[dict[str, Any]]) -> str:
    """A CSV with all columns, the orders, and a comment for each column below them.

    It begins with the mark by which spreadsheets know UTF-8.
    """
    out = io.StringIO()
    writer = csv.DictWriter(out, list(Order.model_fields), lineterminator="\r\n")
    writer.writeheader()
    writer.writerows({name: _cell(value) for name, value in order.items()} for order in orders)
    notes = [f"{name}: {text}" for name, text in field_docs().items()]
    notes.append(f'lists such as tile_prompts are separated by "{LIST_SEPARATOR}"; {HINT}')
    csv.writer(out, lineterminator="\r\n").writerows([COMMENT + note] for note in notes)
    return "\ufeff" + out.getvalue()


def _cell(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return LIST_SEPARATOR.join(value) if isinstance(value, list) else str(value)


def ticket_text(order: dict[str, Any]) -> str:
    """A ticket in TOML that explains each field; those without a value are comments."""
    lines = []
    for name, text in field_docs().items():
        value = order.get(name)
        usual = Order.model_fields[name].get_default()
        told = tomli_w.dumps({name: value if value is not None else _shown(usual)}).strip()
        lines += [f"# {text}", told if value is not None else f"# {told}", ""]
    return "\n".join(lines)


def _shown(usual: Any) -> Any:
    return list(usual) if isinstance(usual, tuple) else "" if usual is None else usual


def draw_photos(folder: Path) -> None:
    """Write the pictures that the examples name: a striped ball in several places, a landscape."""
    for number in range(COUNT):
        _save(_ball(number), folder / PHOTOS / f"ball_{number + 1}.jpg")
    _save(_landscape(), folder / PICTURE)


def _save(image: Image.Image, path: Path) -> None:
    with replacing(path) as temporary:
        image.save(temporary, format="JPEG", quality=90)


def _ball(number: int) -> Image.Image:
    """A red ball with a white stripe, elsewhere and on another ground each time."""
    image = Image.new("RGB", (SIDE, SIDE), COLORS[1 + number % (len(COLORS) - 1)])
    pen, angle = ImageDraw.Draw(image), math.tau * number / COUNT
    x, y = (SIDE / 2 + SIDE / 10 * f(angle) for f in (math.cos, math.sin))
    radius = SIDE * (0.26 + 0.02 * (number % 3))
    pen.ellipse((x - radius, y + radius * 0.8, x + radius, y + radius * 1.1), (60, 60, 60))
    pen.ellipse((x - radius, y - radius, x + radius, y + radius), COLORS[0])
    turn = math.degrees(angle)
    pen.arc((x - radius, y - radius / 3, x + radius, y + radius / 3), turn, turn + 180, "white", 9)
    return image


def _landscape() -> Image.Image:
    """Sky, sun and hills, twice as wide as a photo of the ball."""
    image = Image.new("RGB", (2 * SIDE, 2 * SIDE), (150, 200, 240))
    pen = ImageDraw.Draw(image)
    pen.ellipse((SIDE * 1.4, SIDE * 0.2, SIDE * 1.8, SIDE * 0.6), (255, 225, 120))
    pen.ellipse((-SIDE, SIDE, SIDE * 1.4, SIDE * 3), (70, 140, 80))
    pen.ellipse((SIDE * 0.8, SIDE * 1.2, SIDE * 3, SIDE * 3), (50, 110, 70))
    return image
