"""Markdown tables of what measurements leave: JSON of the benchmarks, CSV of `mosaic eval`."""

import csv
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from smalti.evaluate.comparison import comparison_tables
from smalti.evaluate.protocol import PAIRS, WEIGHTS, Case, Row
from smalti.evaluate.published import order_tables
from smalti.evaluate.results import SCORES
from smalti.evaluate.table import (
    FIDELITY,
    MISSING,
    PYRAMID,
    TILES,
    Cell,
    Column,
    markdown,
    row_means,
    show,
)

RESULTS = "eval/results.csv"
COMPARED = (*FIDELITY, *PYRAMID, TILES[0], Column("near_repeats", "near repeats↓", 1))
VARIED = (*FIDELITY, PYRAMID[1], PYRAMID[3], TILES[0])
PARTS = {
    "full": "as the preset has it: guidance, no colour alignment",
    "no-noise": "without integral noise",
    "both": "with colour alignment too",
    "no-guidance": "colour alignment alone",
    "unguided": "neither: tiles left alone",
    "class-word": "as the preset has it, without the adapter",
}
SHOWN = {
    "demo": "bolt in tiles of pim",
    "pims": "an astronaut in tiles of pim",
    "hamburgers": "bolt in hamburgers",
}


def table(header: Sequence[str], rows: Iterable[Sequence[str]], texts: int = 1) -> str:
    """A Markdown table; the first `texts` columns are words, the others numbers."""
    rule = "|---" * texts + "|---:" * (len(header) - texts) + "|"
    return "\n".join([_line(header), rule, *map(_line, rows)])


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def read(path: Path) -> Any:
    """What a benchmark's --json left."""
    return json.loads(path.read_text(encoding="utf-8"))


def guides(scene: str) -> Callable[[Path], str]:
    """The rows of one scene of benchmarks/guides.py."""

    def render(folder: Path) -> str:
        header = ("row", "PSNR@64, dB", "SSIM@64", "pyramid error, level 1", "2", "3", "4",
                  "tile score")  # fmt: skip
        return table(header, map(_guide, read(folder / "guides.json")[scene]))

    return render


def _guide(row: Mapping[str, Any]) -> list[str]:
    pyramid = [f"{error:.4f}" for error in row["pyramid"]]
    return [row["name"], *fidelity(row), *pyramid, f"{row['score']:.3f}"]


def fidelity(row: Mapping[str, float]) -> list[str]:
    """PSNR and SSIM as all tables show them."""
    return [f"{row['psnr']:.2f}", f"{row['ssim']:.3f}"]


def showcase(folder: Path) -> str:
    """The README's three mosaics."""
    found = read(folder / "guides.json")
    rows = [[says, *fidelity(found[scene][0]), f"{found[scene][0]['score']:.3f}"]
            for scene, says in SHOWN.items()]  # fmt: skip
    return table(("mosaic", "PSNR@64, dB", "SSIM@64", "tile score"), rows)


def pull(folder: Path) -> str:
    """What was asked for and what came out where the pull was measured, scene by scene."""
    header = ("tiles", "scene", "seed", "asked", "in reach", "SSIM@64", "pull of each part")
    rows = [
        (row["grid"], row["scene"], str(row["seed"]), f"{row['asked']:g}", f"{row['aimed']:.2f}",
         f"{row['ssim']:.3f}", " ".join(f"{strength:g}" for strength in row["strengths"]))
        for row in read(folder / "pull.json")
    ]  # fmt: skip
    return table(header, rows)


def presets(folder: Path) -> str:
    """Time, memory and fidelity of every preset, then of the default at more tiles."""
    header = ("preset", "tiles", "s", "times faster", "peak memory, GiB", "PSNR@64, dB", "SSIM@64")
    rows, first = [], 0.0
    for row in read(folder / "presets.json"):
        first = first or row["seconds"]
        rows.append(_preset(row, f"{first / row['seconds']:.1f}"))
    return table(header, rows + [_preset(row, "") for row in read(folder / "growth.json")])


def _preset(row: Mapping[str, Any], faster: str) -> list[str]:
    memory = f"{row['memory'] / 2**30:.2f}"
    return [f"`{row['preset']}`", str(row["tiles"]), f"{row['seconds']:.1f}", faster, memory,
            *fidelity(row)]  # fmt: skip


def parts(folder: Path) -> str:
    """What each part brings to the demo's mosaic."""
    found = read(folder / "parts.json")
    rows = [_part(says, found["variants"][name]) for name, says in PARTS.items()]
    header = ("variant", "PSNR@64, dB", "SSIM@64", "likeness of the tiles", "of unguided")
    marks = [f"The photos of {concept} score {mark['photos']:.2f} among themselves, blobs of "
             f"random colours {mark['noise']:.2f}."
             for concept, mark in found["landmarks"].items()]  # fmt: skip
    return "\n\n".join([table(header, rows), *marks])


def _part(says: str, row: Mapping[str, Any]) -> list[str]:
    share = row["of_unguided"]
    kept = "–" if share is None else f"{100 * share:.0f} %"
    return [says, *fidelity(row), f"{row['likeness']:.2f}", kept]


def eyes(folder: Path) -> str:
    """How clearly a concept's eyes are seen in tiles, guided and not."""
    found = read(folder / "eyes.json")
    titles = {"photos": "her photos, by each other's eyes", "noise": "noise"}
    rows = [[titles.get(name, _mosaic(name)), *_spread(values)] for name, values in found.items()]
    return table(("tiles of", "eyes, mean", "standard error", "worst tenth below"), rows)


def _mosaic(folder: str) -> str:
    return "a mosaic without guidance" if "guidance-false" in folder else "the same, guided"


def _spread(values: Sequence[float]) -> list[str]:
    """Mean, its standard error and the worst tenth."""
    error = np.std(values) / len(values) ** 0.5
    return [f"{value:.3f}" for value in (np.mean(values), error, np.quantile(values, 0.1))]


def results(folder: Path) -> list[tuple[Case, dict[str, Cell]]]:
    """Every mosaic of an evaluation and its scores, in the order of the file."""
    pairs = {pair.name: pair for pair in PAIRS}
    with (folder / RESULTS).open(encoding="utf-8", newline="") as file:
        lines = list(csv.DictReader(file))
    return [
        (Case(pairs[line["pair"]], int(line["seed"]),
              Row(line["method"], line["preset"], line["variant"])), _cells(line))
        for line in lines
    ]  # fmt: skip


def _cells(line: Mapping[str, str]) -> dict[str, Cell]:
    """Numbers of a line of the CSV file; where there is none, the reason or nothing."""
    return {name: _cell(text) for name, text in line.items()}


def _cell(text: str) -> Cell:
    try:
        return float(text)
    except ValueError:
        return text or None


def means(labelled: Iterable[tuple[str, Mapping[str, Cell]]], columns: Sequence[Column]) -> str:
    """A line for every label; a column whose weights are missing is left out."""
    found = row_means(labelled, [column.name for column in columns])
    kept = [c for c in columns if not any(row[c.name] == MISSING for row in found.values())]
    return markdown(found, kept).rstrip()


def methods(folder: Path) -> str:
    """The paper's Tables 1 and 6 side by side."""
    return means([(f"`{case.row.method}`", cells) for case, cells in results(folder)], COMPARED)


def ablation(folder: Path) -> str:
    """What the parts of the paper's method bring."""
    found = results(folder)
    return means([(case.row.variant or "whole", cells) for case, cells in found], VARIED)


def weights(folder: Path) -> str:
    """The paper's method by its guidance weight, from none to the largest."""
    found = sorted(results(folder), key=lambda one: list(WEIGHTS).index(one[0].row.variant))
    return means([(f"w = {WEIGHTS[case.row.variant]:g}", cells) for case, cells in found], VARIED)


def differences(folder: Path) -> str:
    """The method of smalti against every other method, on the same references."""
    return "\n\n".join(comparison_tables(results(folder)))


def order(folder: Path) -> str:
    """The paper's order of the methods beside ours."""
    found = results(folder)
    by_row = row_means([(case.row.label, cells) for case, cells in found], SCORES)
    rows = list(dict.fromkeys(case.row for case, _ in found))
    return "\n\n".join(order_tables(by_row, rows)) or "Too few methods for an order."


def starter(folder: Path) -> str:
    """The figures of the model card, each beside what is wanted."""
    files = (folder / f"{name}.json" for name in ("vae", "samples", "colour"))
    found = [row for file in files for row in read(file)]
    rows = [(row["measure"], _value(row), row["goal"] or "–") for row in found
            if not row["measure"].startswith(" ")]  # fmt: skip
    return table(("measure", "value", "wanted"), rows)


def _value(row: Mapping[str, Any]) -> str:
    if row["value"] is None:
        return "needs the training pictures"
    return f"{row['value']:.3g} {row['unit']}".strip()


def styles(folder: Path) -> str:
    """How many pictures follow a style or a colour, each and in the mean."""
    found = read(folder / "styles.json")
    rows = [(row["name"], f"{row['recognised']:.0f}", show(row["in_color"], 0)) for row in found]
    return table(("style or colour", "right one of 12, %", "in the named colour, %"), rows)
