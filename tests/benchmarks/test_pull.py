"""The table of measured pulls: what it reads from mosaics, and how it sums them up."""

import pull
import pytest
from pull import Reached, summary
from scenes import Scene
from typer.testing import CliRunner


def reached(ssim: float, aimed: float = 0.7) -> Reached:
    return Reached("4x4", "photo", 0, 0.7, aimed, ssim, (0.3, 0.32), 4.6)


def test_misses_are_summed_up_against_what_was_asked_and_aimed():
    """By hand: 0.7 against 0.66 and 0.73 is off by (0.04^2 / 2 + 0.03^2 / 2)^0.5 = 0.0354."""
    told = summary([reached(0.66, aimed=0.66), reached(0.73)])
    asked, aimed = told.split("; ")
    assert "0.035" in asked and "-0.040" in asked
    assert "0.021" in aimed and "+0.030" in aimed


@pytest.mark.slow
def test_a_drawn_scene_is_measured(tmp_path, tiny_sd, monkeypatch):
    words = Scene({"tile_prompt": ("a cat",), "ref_prompt": "a dog", "reference_steps": 2})
    monkeypatch.setattr(pull, "scenes", lambda folder: {"words": words})
    options = ["--scenes", "words", "--base", str(tiny_sd), "--grids", "1x2", "--target", "0.4"]
    done = CliRunner().invoke(pull.app, [*options, "--out", str(tmp_path)])
    assert done.exit_code == 0, done.output
    assert "1x2" in done.output and "words" in done.output and "0.4" in done.output


def test_an_unknown_scene_is_named(tmp_path):
    done = CliRunner().invoke(pull.app, ["--scenes", "dogs", "--out", str(tmp_path)])
    assert done.exit_code == 2 and "dogs" in done.output
