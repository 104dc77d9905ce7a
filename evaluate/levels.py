"""The paper's Figure 3: every method at several mosaic levels, as a table and a sheet."""

from collections.abc import Sequence
from pathlib import Path

from ..models.sheets import contact_sheet
from .pictures import SIDE, mosaic_picture, reference_picture
from .protocol import LEVELS
from .results import SCORES, Measured
from .table import FIDELITY, PYRAMID, TILES, markdown, row_means

SHEET = "levels.png"
TITLE = "## Mosaic levels (paper, Figure 3)"
READING = "Level L has 2^L x 2^L tiles. The sheet shows the first prompt pair and seed."


def at_levels(measured: Sequence[Measured]) -> list[Measured]:
    """The mosaics that were drawn at a level of their own."""
    return [one for one in measured if one.case.row.variant in LEVELS]


def at_the_grid(measured: Sequence[Measured]) -> list[Measured]:
    """The others: those of the evaluation's own grid, which alone its other tables count."""
    return [one for one in measured if one.case.row.variant not in LEVELS]


def level_sections(out: Path, measured: Sequence[Measured]) -> list[str]:
    """The report's part about levels, whose sheet goes into `out`; nothing where there are none."""
    found = at_levels(measured)
    if not found:
        return []
    means = row_means([(one.case.row.label, one.scores) for one in found], SCORES)
    write_level_sheet(out / SHEET, found)
    table = markdown(means, (*FIDELITY, PYRAMID[1], PYRAMID[3], TILES[0])).rstrip()
    return [TITLE, READING, table, f"![levels]({SHEET})"]


def write_level_sheet(path: Path, measured: Sequence[Measured]) -> None:
    """Write a sheet with a row for every level: the reference, then the methods (Figure 3)."""
    place = measured[0].case.place
    own = [one for one in measured if one.case.place == place]
    levels = list(dict.fromkeys(one.case.row.variant for one in own))
    columns = list(dict.fromkeys((one.case.row.method, one.case.row.preset) for one in own))
    by_row = {
        ((one.case.row.method, one.case.row.preset), one.case.row.variant): one.store for one in own
    }
    rows = []
    for level in levels:
        stores = [by_row[column, level] for column in columns]
        rows.append([reference_picture(stores[0]), *map(mosaic_picture, stores)])
    names = ["reference", *(", ".join(column) for column in columns)]
    contact_sheet(rows, path, columns=names, names=levels, side=SIDE)
