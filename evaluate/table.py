"""The columns that an evaluation measures, means over mosaics, and tables in Markdown."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

MISSING = "weights missing"

Cell = float | str | None
"""A value, the reason why there is none, or nothing: it has no meaning for this mosaic."""


@dataclass(frozen=True)
class Column:
    """How a score is shown."""

    name: str
    """Its name in the CSV file."""
    title: str
    """Its name in tables; an arrow says which way is better."""
    digits: int = 3
    """Digits after the point."""


FIDELITY = (
    Column("psnr_64", "PSNR↑, dB", 2),
    Column("ssim_64", "SSIM↑"),
    Column("lpips_64", "LPIPS↓"),
)
"""Against the reference at 64 px (paper, Table 1)."""
MOSAIC = (
    Column("mosaic_hpsv2", "mosaic HPSv2↑"),
    Column("mosaic_image_reward", "mosaic IR↑"),
)
"""Of the whole mosaic at 128 px, by its global prompt (paper, Table 1)."""
TILES = (
    Column("starter_clip", "starter-CLIP↑"),
    Column("blip", "BLIP↑"),
    Column("clip", "CLIP↑"),
    Column("clip_iqa", "IQA↑"),
    Column("hpsv2", "HPSv2↑"),
    Column("image_reward", "IR↑"),
)
"""Of the tiles (paper, Table 1); starter-CLIP is smalti's own."""
PYRAMID = tuple(Column(f"pyramid_{level}", f"Level-{level}↓", 4) for level in (1, 2, 3, 4))
"""Mean squared errors of Gaussian-pyramid levels (paper, Table 6)."""
COSTS = (
    Column("near_repeats", "near repeats↓", 1),
    Column("tile_similarity", "tile similarity↓"),
    Column("correction_energy", "correction energy↓", 5),
    Column("seconds", "s↓", 1),
    Column("peak_gib", "peak memory↓, GiB", 2),
)
"""Variety, honesty, time (paper, Table 7) and memory."""


def mean_cell(cells: Iterable[Cell]) -> Cell:
    """Mean of the numbers; a reason why one is missing, where there is one, instead of a mean.

    A mean over some mosaics would be compared with others' means over all. Nothings do not count,
    and the mean of nothings is nothing.
    """
    cells = list(cells)
    for cell in cells:
        if isinstance(cell, str):
            return cell
    numbers = [cell for cell in cells if cell is not None]
    return fmean(numbers) if numbers else None


def row_means(
    rows: Iterable[tuple[str, Mapping[str, Cell]]], columns: Sequence[str]
) -> dict[str, dict[str, Cell]]:
    """Means of columns over the mosaics of every label, in the order of first appearance."""
    grouped: dict[str, list[Mapping[str, Cell]]] = {}
    for label, scores in rows:
        grouped.setdefault(label, []).append(scores)
    return {
        label: {name: mean_cell(scores[name] for scores in group) for name in columns}
        for label, group in grouped.items()
    }


def markdown(means: Mapping[str, Mapping[str, Cell]], columns: Sequence[Column]) -> str:
    """A Markdown table with one line per label."""
    lines = ["| | " + " | ".join(column.title for column in columns) + " |"]
    lines.append("|---|" + "---:|" * len(columns))
    for label, cells in means.items():
        shown = [show(cells[column.name], column.digits) for column in columns]
        lines.append(f"| {label} | " + " | ".join(shown) + " |")
    return "\n".join(lines) + "\n"


def show(cell: Cell, digits: int) -> str:
    """A cell as text; nothing is a dash."""
    if cell is None:
        return "–"
    return cell if isinstance(cell, str) else f"{cell:.{digits}f}"
