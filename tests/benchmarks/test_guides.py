"""The table of guides: its rows resolve, its arithmetic, its curve, one row on the tiny model."""

import json

import guides
import pytest
from guides import ROWS, RowResult, choose_rows, draw_curves, draw_seeds, measure
from PIL import Image
from scenes import Scene, draw_row, row_settings
from typer.testing import CliRunner

from smalti.configs.mosaic import setting_facts

WORDS = Scene({"tile_prompt": ("a cat",), "ref_prompt": "a dog", "reference_steps": 2})


@pytest.mark.parametrize("name", ROWS)
def test_every_row_sets_what_it_says(name: str):
    preset, _, changes = ROWS[name].partition("+")
    plain = row_settings(preset, None, WORDS, "4x5", 3).mosaic.flat()
    found = row_settings(ROWS[name], None, WORDS, "4x5", 3).mosaic.flat()
    said = dict(change.split("=") for change in changes.split(",") if change)
    assert (found["grid"], found["seed"], found["tile_prompt"]) == ("4x5", 3, ("a cat",))
    for key, value in said.items():
        assert str(found[key]).lower() == value or float(found[key]) == float(value)
    if "guide" not in said:  # another guide reads other settings
        replaced = {other for key in said for other in setting_facts()[key].replaces}
        assert {key for key in plain if found[key] != plain[key]} <= set(said) | replaced


@pytest.mark.slow
def test_a_row_is_drawn_once_and_measured(tmp_path, tiny_sd):
    drawn = draw_seeds(WORDS, "fast+steps=2", str(tiny_sd), "1x2", [0, 1], tmp_path / "words")
    folders, seconds = drawn
    assert len(set(folders)) == 2 and min(seconds) > 0
    again = row_settings("fast+steps=2", str(tiny_sd), WORDS, "1x2", 1)
    assert draw_row(again, folders[1]) == seconds[1], "not drawn again"
    found = measure("row", folders, [2.0, 4.0], lambda tiles: float(len(tiles)))
    assert (found.seconds, found.score, len(found.pyramid)) == (3.0, 2.0, 4)
    values = [
        json.loads((folder / "mosaic.json").read_text())["metrics"]["psnr_64"]
        for folder in folders
    ]
    assert found.psnr == pytest.approx(sum(values) / 2)


def test_seconds_are_a_share_of_the_first_rows():
    fast, slow = (RowResult("row", 20.0, 0.5, (0.1,) * 4, 0.4, s) for s in (3.0, 30.0))
    assert float(fast.cells(slow)[-1]) == 0.1 and float(slow.cells(slow)[-1]) == 1


def test_a_curve_is_drawn_per_scene(tmp_path):
    found = [RowResult(str(i), 20.0, 0.1 * i, (0.1,) * 4, 0.4, 1.0) for i in range(3)]
    draw_curves({"photo": found, "demo": found}, tmp_path / "curve.png")
    with Image.open(tmp_path / "curve.png") as picture:
        assert picture.width > 2 * picture.height


def test_rows_are_chosen_by_name_and_added_by_text():
    chosen = choose_rows("fast; paper, 20 steps", ["fast+steps=9"])
    assert list(chosen) == ["fast", "paper, 20 steps", "fast+steps=9"]
    assert chosen["paper, 20 steps"] == guides.PAPER_20
    assert list(choose_rows("", [])) == list(ROWS)


def test_unknown_rows_are_named():
    done = CliRunner().invoke(guides.app, ["--rows", "fastest"])
    assert done.exit_code == 2 and "fastest" in done.output
