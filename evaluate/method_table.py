"""The table and the sheet of a comparison of training methods, from the results that are there."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ..configs.files import read_json, write_text
from ..models.sheets import contact_sheet
from .jury import STARTER
from .obedience import BACKGROUNDS, STYLES
from .table import Cell, Column, markdown, row_means
from .trained import RESULT, shown_pictures

COLUMNS = (
    Column("trainings", "trainings", 0),
    Column("likeness", "likeness↑"),
    Column("background", "background↑", 2),
    Column("style", "style↑", 2),
    Column("variety", "variety↑"),
    Column("megabytes", "MB↓", 1),
    Column("seconds", "s↓", 0),
    Column("mosaic_likeness", "likeness in a mosaic↑"),
    Column("mosaic_ssim", "SSIM@64↑"),
)
BARE = "class word"
NOTE = (
    "likeness: mean similarity to the concept's photos, judged by {judges}; background, style: "
    "share of pictures that have the colour or style named; variety: 1 less the mean similarity of "
    "the pictures to one another; s: time of the training's steps on this machine; likeness in a "
    f'mosaic: of its guided tiles. "{BARE}": the base without an adapter.'
)


def read_results(folder: Path) -> list[dict[str, Any]]:
    """All results below a folder, each with its own folder's name, the bare base first."""
    found = [(path.parent, read_json(path)) for path in sorted(folder.glob(f"*/{RESULT}"))]
    results = [{**result, "folder": place.name} for place, result in found if result]
    return sorted(results, key=lambda one: (one["method"] != BARE, one["method"], one["seed"]))


def method_means(results: Sequence[Mapping[str, Any]]) -> dict[str, dict[str, Cell]]:
    """Means over trainings of every method."""
    names = [column.name for column in COLUMNS if column.name != "trainings"]
    means = row_means([(one["method"], one) for one in results], names)
    counts = {label: float(sum(o["method"] == label for o in results)) for label in means}
    return {label: {"trainings": counts[label], **cells} for label, cells in means.items()}


def write_comparison(folder: Path, title: str) -> tuple[Path, Path]:
    """Write methods.md and methods.png from all results below a folder; returns their paths."""
    results = read_results(folder)
    table, sheet = folder / "methods.md", folder / "methods.png"
    text = markdown(method_means(results), COLUMNS)
    judges = " and ".join(sorted({one.get("jury", STARTER) for one in results}))
    write_text(table, f"# {title}\n\n{text}\n\n{NOTE.format(judges=judges)}\n")
    colors, styles = BACKGROUNDS[:3], STYLES[:3]
    contact_sheet(
        [shown_pictures(folder / one["folder"], one["mosaic"]) for one in results],
        sheet,
        columns=[*["plain"] * 3, *colors, *styles, "mosaic"],
        names=[f"{one['method']} {one['seed']}" for one in results],
        side=128,
    )
    return table, sheet
