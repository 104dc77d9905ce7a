"""Tables of the pages, rendered from files written by hand, equal tables written by hand."""

import csv
import json
from pathlib import Path
from typing import Any

import figure_tables as tables
import pytest

from smalti.evaluate.results import KEYS, SCORES

PYRAMID = [0.0441, 0.0301, 0.0156, 0.00456]


def leave(folder: Path, name: str, value: Any) -> None:
    (folder / name).write_text(json.dumps(value), encoding="utf-8")


def guide(name: str, psnr: float, score: float) -> dict[str, Any]:
    return {"name": name, "psnr": psnr, "ssim": 0.2612, "pyramid": PYRAMID, "score": score,
            "seconds": 3.0}  # fmt: skip


def test_guides(tmp_path):
    rows = [guide("fast", 14.371, 0.4364), guide("CFG 3", 9.0, 0.5)]
    leave(tmp_path, "guides.json", {"photo": rows, "demo": []})
    assert tables.guides("photo")(tmp_path) == (
        "| row | PSNR@64, dB | SSIM@64 | pyramid error, level 1 | 2 | 3 | 4 | tile score |\n"
        "|---|---:|---:|---:|---:|---:|---:|---:|\n"
        "| fast | 14.37 | 0.261 | 0.0441 | 0.0301 | 0.0156 | 0.0046 | 0.436 |\n"
        "| CFG 3 | 9.00 | 0.261 | 0.0441 | 0.0301 | 0.0156 | 0.0046 | 0.500 |"
    )


def test_showcase(tmp_path):
    leave(tmp_path, "guides.json", {name: [guide("fast", 20 + i, 0.1 * i)]
                                    for i, name in enumerate(tables.SHOWN)})  # fmt: skip
    assert tables.showcase(tmp_path).splitlines()[2:] == [
        "| bolt in tiles of pim | 20.00 | 0.261 | 0.000 |",
        "| an astronaut in tiles of pim | 21.00 | 0.261 | 0.100 |",
        "| bolt in hamburgers | 22.00 | 0.261 | 0.200 |",
    ]


def cost(preset: str, tiles: int, seconds: float) -> dict[str, Any]:
    return {"preset": preset, "tiles": tiles, "seconds": seconds, "memory": 3 * 2**29,
            "psnr": 20.0, "ssim": 0.5, "parts": {}}  # fmt: skip


def test_presets_compare_with_the_first(tmp_path):
    leave(tmp_path, "presets.json", [cost("paper", 16, 90.0), cost("fast", 16, 4.0)])
    leave(tmp_path, "growth.json", [cost("fast", 64, 15.96)])
    assert tables.presets(tmp_path).splitlines()[2:] == [
        "| `paper` | 16 | 90.0 | 1.0 | 1.50 | 20.00 | 0.500 |",
        "| `fast` | 16 | 4.0 | 22.5 | 1.50 | 20.00 | 0.500 |",
        "| `fast` | 64 | 16.0 |  | 1.50 | 20.00 | 0.500 |",
    ]


def test_parts(tmp_path):
    row = {"psnr": 22.8, "ssim": 0.57, "likeness": 0.416, "of_unguided": 0.884}
    found = {name: dict(row) for name in tables.PARTS} | {"no-color": row}
    found["class-word"]["of_unguided"] = None
    marks = {"pim": {"photos": 0.647, "noise": 0.254}}
    leave(tmp_path, "parts.json", {"variants": found, "landmarks": marks})
    shown = tables.parts(tmp_path)
    assert "| without integral noise | 22.80 | 0.570 | 0.42 | 88 % |" in shown
    assert "| as the preset has it, without the adapter | 22.80 | 0.570 | 0.42 | – |" in shown
    assert "pim score 0.65" in shown and "0.25" in shown.splitlines()[-1]
    assert shown.count("\n| ") == 6  # one line per variant; guidance alone is the preset itself


def test_eyes(tmp_path):
    found = {"photos": [0.5, 0.7], "out/faces-fast-guidance-false-6x6-0": [0.4, 0.4],
             "out/faces-fast-6x6-0": [0.2, 0.4]}  # fmt: skip
    leave(tmp_path, "eyes.json", found)
    lines = tables.eyes(tmp_path).splitlines()[2:]
    assert [line.split(" | ")[1:] for line in lines] == [
        ["0.600", "0.071", "0.520 |"], ["0.400", "0.000", "0.400 |"], ["0.300", "0.071", "0.220 |"],
    ]  # fmt: skip
    assert "without guidance" in lines[1] and "without guidance" not in lines[2]


def test_styles(tmp_path):
    rows = [{"name": "clipart", "recognised": 84.6, "in_color": None},
            {"name": "red", "recognised": 50.0, "in_color": 90.9}]  # fmt: skip
    leave(tmp_path, "styles.json", rows)
    assert tables.styles(tmp_path).splitlines()[2:] == ["| clipart | 85 | – |", "| red | 50 | 91 |"]


def test_the_starters_figures_and_those_that_need_its_corpus(tmp_path):
    def row(measure: str, value: float | None, unit: str, goal: str) -> dict[str, Any]:
        return {"measure": measure, "value": value, "unit": unit, "goal": goal}

    leave(tmp_path, "vae.json", [row("PSNR", None, "dB", ">= 26")])
    leave(
        tmp_path, "samples.json", [row("right", 89.0625, "%", ">= 85"), row("  a cat", 1, "", "")]
    )
    leave(tmp_path, "colour.json", [row("alike", 0.9762, "", "")])
    lines = tables.starter(tmp_path).splitlines()[2:]
    assert lines[1:] == ["| right | 89.1 % | >= 85 |", "| alike | 0.976 | – |"]
    assert lines[0].startswith("| PSNR | needs") and lines[0].endswith("| >= 26 |")


@pytest.fixture
def evaluated(tmp_path) -> Path:
    """Two references by three methods, as `mosaic eval` leaves them, without LPIPS."""
    (tmp_path / "eval").mkdir()
    with (tmp_path / tables.RESULTS).open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow((*KEYS, *SCORES))
        for method, psnr in (("smalti", 26.0), ("adain", 16.0), ("match-and-tone", 15.0)):
            for pair, more in (("cat", 0.0), ("dog", 1.0)):
                cells = {name: "0.5" for name in SCORES} | {"psnr_64": str(psnr + more * psnr / 16)}
                cells["lpips_64"], cells["seconds"] = "weights missing", ""
                row = (pair, "0", method, "fast", "", "digest")
                writer.writerow((*row, *(cells[name] for name in SCORES)))
    return tmp_path


def test_methods_and_a_column_that_is_missing(evaluated):
    assert tables.methods(evaluated).splitlines()[0:3] == [
        "| | PSNR↑, dB | SSIM↑ | Level-1↓ | Level-2↓ | Level-3↓ | Level-4↓ | starter-CLIP↑ | "
        "near repeats↓ |",
        "|---|---:|---:|---:|---:|---:|---:|---:|---:|",
        "| `smalti` | 26.81 | 0.500 | 0.5000 | 0.5000 | 0.5000 | 0.5000 | 0.500 | 0.5 |",
    ]


def test_differences_are_paired(evaluated):
    line = tables.differences(evaluated).splitlines()[2]
    # 10 dB and 10.625: mean 10.3125, standard error 0.3125
    assert line.startswith("| adain | +10.31 ± 0.62 |") and line.endswith("| 100% |")


def test_the_papers_order(evaluated):
    # In the paper smalti 17.6, match-and-tone 16.7, adain 13.0: two change places, 1 - 6 * 2 / 24.
    (line,) = [t for t in tables.order(evaluated).splitlines() if t.startswith("| PSNR")]
    assert "smalti 26.8, adain 16.5, match-and-tone 15.5" in line and line.endswith("| 0.50 |")


@pytest.mark.parametrize(
    ("render", "variants", "labels"),
    [
        (tables.ablation, ("", "without guidance", "guided by LPIPS"),
         ["whole", "without guidance", "guided by LPIPS"]),
        (tables.weights, ("", "w = 20000", "w = 0"), ["w = 0", "w = 5000", "w = 20000"]),
    ],
)  # fmt: skip
def test_variants_are_named_and_in_order(evaluated, render, variants, labels):
    path = evaluated / tables.RESULTS
    text = path.read_text()
    for method, variant in zip(("smalti", "adain", "match-and-tone"), variants, strict=True):
        text = text.replace(f"{method},fast,,", f"smalti,paper,{variant},")
    path.write_text(text)
    assert [line.split(" | ")[0][2:] for line in render(evaluated).splitlines()[2:]] == labels
