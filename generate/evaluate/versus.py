"""smalti against each other method on the same references: is it better by more than noise?"""

from collections.abc import Mapping, Sequence
from statistics import fmean, stdev

from .protocol import Job, Row
from .table import FIDELITY, PYRAMID, TILES, Cell

COLUMNS = (*FIDELITY[:2], *PYRAMID[1:], TILES[0])  # the last one: starter-CLIP, always here
READING = (
    "smalti less the method of the row: mean of the differences over all pairs and seeds, and "
    "twice its standard error. What is smaller than that is noise. The last column is smalti's "
    "mean starter-CLIP as a share of the row's."
)

Measured = Sequence[tuple[Job, Mapping[str, Cell]]]


def versus_tables(measured: Measured) -> list[str]:
    """A Markdown table for every row of smalti's, against all other rows with its preset."""
    rows = list(dict.fromkeys(job.row for job, _ in measured))
    tables = []
    for own in (row for row in rows if row.method == "smalti" and not row.variant):
        others = [row for row in rows if row.preset == own.preset and row.method != "smalti"]
        if others:
            head = " | ".join([f"| {own.label}, against", *(c.title for c in COLUMNS), "share |"])
            lines = [_line(_of(measured, own), _of(measured, row), row.method) for row in others]
            tables.append("\n".join([head, "|---|" + "---:|" * (len(COLUMNS) + 1), *lines]))
    return tables


def _of(measured: Measured, row: Row) -> dict[tuple[str, int], Mapping[str, Cell]]:
    """The scores of a row by pair and seed."""
    return {job.place: scores for job, scores in measured if job.row == row}


def _line(ours: Mapping, theirs: Mapping, method: str) -> str:
    shared = [place for place in ours if place in theirs]
    pairs = {c: [(ours[p][c.name], theirs[p][c.name]) for p in shared] for c in COLUMNS}
    cells = [difference([a - b for a, b in pairs[c]], c.digits) for c in COLUMNS]
    mine, other = (fmean(values) for values in zip(*pairs[COLUMNS[-1]], strict=True))
    return f"| {method} | " + " | ".join(cells) + f" | {mine / other:.0%} |"


def difference(values: Sequence[float], digits: int) -> str:
    """Mean and twice the standard error, which one value alone does not have."""
    mean = f"{fmean(values):+.{digits}f}"
    if len(values) < 2:
        return mean
    return f"{mean} ± {2 * stdev(values) / len(values) ** 0.5:.{digits}f}"
