"""The table of guides: its rows resolve, its arithmetic, its curve, one row on the tiny model."""

import json

import guides
import pytest
import torch
from guides import ROWS, Found, Scene, draw, draw_curves, measure, settings_of
from PIL import Image
from typer.testing import CliRunner

WORDS = Scene({"tile_prompt": ("a cat",), "ref_prompt": "a dog"})


@pytest.mark.parametrize("name", ROWS)
def test_every_row_resolves_and_differs_from_the_default(name):
    plain = settings_of("fast", None, WORDS, "8x8", 0).mosaic
    mosaic = settings_of(ROWS[name], None, WORDS, "8x8", 0).mosaic
    assert (mosaic == plain) == (name == "fast" or is_default(name, plain))
    assert (mosaic.tile_prompt, mosaic.grid) == (("a cat",), "8x8")


def is_default(name: str, plain) -> bool:
    """A row of the sweep may be where the default lies."""
    changes = ROWS[name].partition("+")[2].split(",")
    pairs = (change.split("=") for change in changes)
    return ROWS[name].startswith("fast+") and all(str(getattr(plain, k)) == v for k, v in pairs)


def test_means_over_seeds_and_shares_of_the_first(tmp_path, tiny_sd):
    folders = [tmp_path / str(seed) for seed in (0, 1)]
    for seed, folder in enumerate(folders):
        settings = settings_of("fast+steps=2", str(tiny_sd), WORDS, "1x2", seed)
        seconds = draw(settings, folder)
        assert draw(settings, folder) == seconds > 0, "not drawn again"
    found = measure("row", folders, [2.0, 4.0], lambda tiles: float(len(tiles)))
    assert (found.seconds, found.score, len(found.pyramid)) == (3.0, 2.0, 4)
    values = [
        json.loads((folder / "mosaic.json").read_text())["metrics"]["psnr_64"]
        for folder in folders
    ]
    assert found.psnr == pytest.approx(sum(values) / 2)
    slow = Found("slow", 20.0, 0.5, (0.1,) * 4, 0.4, 30.0)
    assert found.cells(slow)[-1] == "0.100"


def test_a_curve_is_drawn_per_scene(tmp_path):
    found = [Found(str(i), 20.0, 0.1 * i, (0.1,) * 4, 0.4, 1.0) for i in range(3)]
    draw_curves({"photo": found, "demo": found}, tmp_path / "curve.png")
    with Image.open(tmp_path / "curve.png") as picture:
        assert picture.width > 2 * picture.height


def test_words_score_the_tiles_that_show_them():
    score = guides.scoring(Scene({"tile_prompt": ("a red ball",)}))
    assert isinstance(score(torch.rand(2, 3, 64, 64)), float)


def test_unknown_rows_are_named():
    done = CliRunner().invoke(guides.app, ["--rows", "fastest"])
    assert done.exit_code == 2 and "fastest" in done.output
