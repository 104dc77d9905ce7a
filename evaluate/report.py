"""What an evaluation leaves for people: tables in Markdown, plots, and sheets of mosaics."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from ..configs.files import write_text
from ..generate.metadata import versions
from ..models.sheets import contact_sheet
from .comparison import READING as COMPARISON_READING
from .comparison import comparison_tables
from .levels import at_the_grid, level_sections
from .networks import NETWORKS
from .pictures import SIDE, mosaic_picture, reference_picture
from .plots import draw_plots
from .preference import preference_sections
from .protocol import Protocol
from .published import order_tables
from .results import SCORES, TABLE, Measured
from .table import (
    COSTS,
    FIDELITY,
    MISSING,
    MOSAIC,
    PYRAMID,
    TILES,
    Cell,
    markdown,
    row_means,
)

REPORT = "report.md"
EVOLUTION = "evolution.png"
READING = (
    "starter-CLIP is the similarity of tiles to their prompt by the CLIP that ships with smalti; "
    "it is no CLIP score. Tile similarity is the mean over all pairs of tiles by the same network; "
    "near repeats are pairs of tiles within two rows and columns that look alike, as in "
    "mosaic.json. Correction energy is the mean square change of pixels after drawing. Time "
    "includes loading of the base model and drawing of a pool; a dash stands where a mosaic was "
    "drawn in more than one run."
)
PEERS_READING = (
    "Made by {peers}, with default settings: the rows of that name. Each got the same references "
    "and the pool of `match` with the preset that stands beside it; mosaicraft's own preset is "
    "`fast` where that pool is too small for its default. Their time includes preparing that pool "
    "but not drawing it; their memory and their changes of pixels are not known."
)


def write_report(
    out: Path,
    protocol: Protocol,
    measured: Sequence[Measured],
    skipped: Mapping[str, str],
    log: Callable[[str], None],
    *,
    ask: bool = False,
) -> Path:
    """Write report.md, plots and one sheet per seed into `out`; returns the path of report.md.

    skipped: labels of rows that could not be made, and why. `log` hears why there are no plots.
    ask: whether people are to be asked which mosaics they prefer. Raises InputError for answers
    of theirs that cannot be read.
    """
    more = level_sections(out, measured)
    measured = at_the_grid(measured)
    more += preference_sections(out, measured) if ask else []
    sheets = [write_sheet(out, measured, seed) for seed in _distinct(measured, "seed")]
    means = row_means([(one.case.row.label, one.scores) for one in measured], SCORES)
    evolution = [path for path in [out / EVOLUTION] if path.is_file()]
    pictures = [*draw_plots(means, out, log), *evolution, *sheets]
    shown = [f"![{path.stem}]({path.name})" for path in pictures]
    notes = _notes(means, measured, skipped)
    compared = _comparisons(means, measured)
    parts = [_heading(protocol, measured), *_tables(means), *compared, *more, *notes, *shown]
    write_text(out / REPORT, "\n\n".join(parts) + "\n")
    return out / REPORT


def _heading(protocol: Protocol, measured: Sequence[Measured]) -> str:
    pairs = [pair.name for pair in _distinct(measured, "pair")]
    seeds = [str(seed) for seed in _distinct(measured, "seed")]
    devices = {str(one.store.recorded("device")) for one in measured}
    more = f", with {', '.join(protocol.overrides)}" if protocol.overrides else ""
    return (
        f"# Evaluation of {Path(protocol.base).name}, {protocol.grid} tiles{more}\n\n"
        f"Means over {len(pairs)} of the paper's prompt pairs ({', '.join(pairs)}) and "
        f"{_counted(len(seeds), 'seed')} ({', '.join(seeds)}): {len(measured)} mosaics, drawn on "
        f"{', '.join(sorted(devices))} by smalti {versions()['smalti']}. Every mosaic is a line of "
        f"[{TABLE}]({TABLE})."
    )


def _counted(number: int, noun: str) -> str:
    return f"{number} {noun}" + "s" * (number != 1)


def _tables(means: Mapping[str, Mapping[str, Cell]]) -> list[str]:
    return [
        "## Reference at 64 px, mosaic at 128 px, and tiles (paper, Tables 1, 3 and 4)",
        markdown(means, (*FIDELITY, *MOSAIC, *TILES)).rstrip(),
        "## Gaussian pyramid (paper, Table 6)",
        markdown(means, PYRAMID).rstrip(),
        "## Variety, changes after drawing, time and memory of a mosaic",
        markdown(means, COSTS).rstrip(),
    ]


def _comparisons(
    means: Mapping[str, Mapping[str, Cell]], measured: Sequence[Measured]
) -> list[str]:
    """How smalti stands against the others, and the paper's order beside ours, if there is any."""
    parts = []
    if tables := comparison_tables([(one.case, one.scores) for one in measured]):
        parts += ["## smalti against the others", COMPARISON_READING, *tables]
    rows = [one.case.row for one in measured]
    if orders := order_tables(means, [row for row in rows if not row.variant]):
        parts += ["## The order of the methods (paper, Tables 1, 5 and 6)", *orders]
    return parts


def _notes(
    means: Mapping[str, Mapping[str, Cell]],
    measured: Sequence[Measured],
    skipped: Mapping[str, str],
) -> list[str]:
    """How to read the tables, and what to do about what is missing."""
    cells = {name: cell for row in means.values() for name, cell in row.items()}
    notes = [READING]
    if peers := _peers(measured):
        notes.append(PEERS_READING.format(peers=" and ".join(peers)))
    if cells["lpips_64"] == MISSING:
        notes.append(f"LPIPS, {MISSING}: give AlexNet's as a safetensors file, `--lpips FILE`.")
    for network in NETWORKS:
        if cells[network.columns[0]] == MISSING:
            words = " and ".join(f"`{command}`" for command in network.downloads())
            notes.append(f"{network.title}, {MISSING}: {words}, then the same command.")
    return notes + [f"Left out, {reason}: {label}." for label, reason in skipped.items()]


def _peers(measured: Sequence[Measured]) -> list[str]:
    """Names and versions of the peers that made mosaics."""
    made = (one.store.recorded("identity").get("peer") for one in measured)
    return list(dict.fromkeys(filter(None, made)))


def write_sheet(out: Path, measured: Sequence[Measured], seed: int) -> Path:
    """Mosaics of a seed: one row per row of the tables below the references, columns are pairs."""
    own = [one for one in measured if one.case.seed == seed]
    by_place = {(one.case.row.label, one.case.pair.name): one for one in own}
    pairs = [pair.name for pair in _distinct(own, "pair")]
    labels = list(dict.fromkeys(one.case.row.label for one in own))
    references = [reference_picture(by_place[labels[0], pair].store) for pair in pairs]
    rows = [[mosaic_picture(by_place[label, pair].store) for pair in pairs] for label in labels]
    path = out / f"sheet-seed{seed}.png"
    contact_sheet([references, *rows], path, columns=pairs, names=["reference", *labels], side=SIDE)
    return path


def _distinct(measured: Sequence[Measured], name: str) -> list[Any]:
    return list(dict.fromkeys(getattr(one.case, name) for one in measured))
