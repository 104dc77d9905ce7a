"""The fit behind the pull that smalti chooses: it finds the constants that made the data."""

import pull
import pytest
import torch
from pull import Measured, fitted, measure, table
from scenes import Scene
from typer.testing import CliRunner

from smalti.generate.guidance.strength import FITTED, Fit, expected_ssim

TRUE = Fit(pulls=6.0, tile_variance=0.04)


def made_up(scene: str, contrast: float, pulls=(0.2, 0.25, 0.29, 0.35)) -> list[Measured]:
    """Mosaics that follow TRUE exactly; local variances of 0 to `contrast`."""
    variances = contrast * torch.linspace(0, 1, 50, dtype=torch.float64).expand(1, 3, 50)
    return [Measured(scene, 0, s, expected_ssim(variances, s, TRUE), variances) for s in pulls]


def test_the_fit_finds_the_constants():
    found = made_up("flat", 0.01) + made_up("middle", 0.05) + made_up("hard", 0.2)
    assert tuple(fitted(found)) == pytest.approx(tuple(TRUE), rel=1e-3)


def test_a_scene_is_also_expected_from_the_others():
    """The odd one out does not take part in its own last column."""
    odd = Measured("odd", 0, 0.25, 0.1, made_up("odd", 0.05, pulls=(0.25,))[0].contrast)
    rows = table([*made_up("flat", 0.01), *made_up("hard", 0.2), odd])
    others = expected_ssim(odd.contrast, 0.25, TRUE)
    assert rows[-1] == (
        "odd", "0", "0.25", "0.100", f"{odd.expected(FITTED):.3f}", f"{others:.3f}",
    )  # fmt: skip


@pytest.mark.slow
def test_a_drawn_scene_is_measured_and_expected(tmp_path, tiny_sd, monkeypatch):
    words = Scene({"tile_prompt": ("a cat",), "ref_prompt": "a dog", "reference_steps": 2})
    monkeypatch.setattr(pull, "scenes", lambda folder: {"words": words})
    options = ["--base", str(tiny_sd), "--grid", "1x2", "--pulls", "0.2,0.9"]
    done = CliRunner().invoke(pull.app, [*options, "--out", str(tmp_path)])
    assert done.exit_code == 0, done.output
    one = measure("words", 0, 0.9, tmp_path / "words-0-0.9-1x2")
    assert f"{one.ssim:.3f}" in done.output and f"{one.expected(FITTED):.3f}" in done.output


def test_unknown_scenes_are_named(tmp_path):
    done = CliRunner().invoke(pull.app, ["--scenes", "dogs", "--out", str(tmp_path)])
    assert done.exit_code == 2 and "dogs" in done.output
