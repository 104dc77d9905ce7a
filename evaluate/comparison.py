"""smalti against each other method on the same references: is it better by more than noise?"""

from collections.abc import Mapping, Sequence
from statistics import fmean, stdev

from .protocol import OURS, Case, Row
from .table import FIDELITY, PYRAMID, TILES, Cell

COLUMNS = (*FIDELITY[:2], *PYRAMID[1:], TILES[0])  # the last one: starter-CLIP, always here
READING = (
    "smalti less the method of the row: mean of the differences over all pairs and seeds, and "
    "twice its standard error. What is smaller than that is noise. The last column is smalti's "
    "mean starter-CLIP as a share of the row's."
)

Scored = Sequence[tuple[Case, Mapping[str, Cell]]]


def comparison_tables(scored: Scored) -> list[str]:
    """A Markdown table for every row of smalti's, against all other rows with its preset."""
    rows = list(dict.fromkeys(case.row for case, _ in scored))
    tables = []
    for own in (row for row in rows if row.method == OURS and not row.variant):
        others = [row for row in rows if row == Row(row.method, own.preset) and row.method != OURS]
        if others:
            head = " | ".join([f"| {own.label}, against", *(c.title for c in COLUMNS), "share |"])
            ours = _by_place(scored, own)
            lines = [_line(ours, _by_place(scored, row), row.method) for row in others]
            tables.append("\n".join([head, "|---|" + "---:|" * (len(COLUMNS) + 1), *lines]))
    return tables


def _by_place(scored: Scored, row: Row) -> dict[tuple[str, int], Mapping[str, Cell]]:
    """The scores of a row by pair and seed."""
    return {case.place: scores for case, scores in scored if case.row == row}


def _line(ours: Mapping, theirs: Mapping, method: str) -> str:
    shared = [place for place in ours if place in theirs]
    pairs = {c: [(ours[p][c.name], theirs[p][c.name]) for p in shared] for c in COLUMNS}
    cells = [paired_difference([a - b for a, b in pairs[c]], c.digits) for c in COLUMNS]
    mine, other = (fmean(values) for values in zip(*pairs[COLUMNS[-1]], strict=True))
    return f"| {method} | " + " | ".join(cells) + f" | {mine / other:.0%} |"


def paired_difference(values: Sequence[float], digits: int) -> str:
    """Mean and twice the standard error, which one value alone does not have."""
    mean = f"{fmean(values):+.{digits}f}"
    if len(values) < 2:
        return mean
    return f"{mean} ± {2 * stdev(values) / len(values) ** 0.5:.{digits}f}"
