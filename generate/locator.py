"""locator.csv: where each photo lies, for whoever looks for themselves."""

import csv
import io
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from ..configs.files import remove, write_text

LOCATOR = "locator.csv"
COLUMNS = ("file", "name", "row", "col", "how")

Found = tuple[str, str, int, int, str]
"""File, guest's name, row and column counted from 1 as people do, and how the photo was made."""


def photo_rows(tiles: Mapping[str, Mapping[str, Any]]) -> Iterator[Found]:
    """Where photos lie, by what tiles such as "r03_c05" say of themselves; by name."""
    found = []
    for tile, facts in tiles.items():
        if "photo" in facts and (match := re.fullmatch(r"r(\d+)_c(\d+)", tile)):
            row, col = int(match[1]) + 1, int(match[2]) + 1
            found.append((facts["photo"], facts.get("name", ""), row, col, facts.get("how", "")))
    yield from sorted(found, key=lambda one: (one[0].lower(), *one[1:]))


def write_locator(folder: Path, tiles: Mapping[str, Mapping[str, Any]]) -> None:
    """Write locator.csv into a mosaic's folder; without photos there is none.

    Its columns are those that --photo-places reads.
    """
    rows = list(photo_rows(tiles))
    if rows:
        write_text(folder / LOCATOR, as_csv(COLUMNS, rows))
    else:
        remove(folder / LOCATOR)


def as_csv(columns: tuple[str, ...], rows: list[Any]) -> str:
    """A table as the text of a CSV file."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(rows)
    return text.getvalue()
