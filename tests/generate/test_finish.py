"""The finished folder: the files that a user keeps, and what they say of themselves."""

import numpy as np
import pytest
from drawn import record_of
from PIL import Image

from smalti.generate.finish import METRIC_SIDE, reduced
from smalti.models.metrics import psnr, ssim
from smalti.models.pixels import to_image


def test_the_folder_a_user_keeps(finished):
    names = {str(p.relative_to(finished)) for p in finished.rglob("*") if p.is_file()}
    tiles = {f"tiles/r{r:02d}_c{c:02d}.png" for r in range(2) for c in range(3)}
    assert names == tiles | {"mosaic.png", "reference.png", "mosaic.json"}
    canvas = np.asarray(Image.open(finished / "mosaic.png"))
    assert canvas.shape == (128, 192, 3)
    for row in range(2):
        for col in range(3):
            tile = np.asarray(Image.open(finished / f"tiles/r{row:02d}_c{col:02d}.png"))
            assert np.array_equal(
                canvas[64 * row : 64 * row + 64, 64 * col : 64 * col + 64], tile
            )


def test_mosaic_json_says_how_it_was_made(finished, engine):
    record = record_of(finished)
    assert record["state"] == "finished" and record["precision"] == "no"
    assert record["base_fingerprint"] == engine.base.fingerprint
    assert record["settings"]["mosaic"]["sampler"]["steps"] == 3
    assert record["batch"] == 3 and record["device"] == "cpu"
    assert {tile["seed"] for tile in record["tiles"].values()} == {0}
    assert record["latent_rgb_fit"] == pytest.approx(engine.base.linear_decoder.fit, abs=1e-4)
    picture = to_image(np.asarray(Image.open(finished / "mosaic.png")))
    reference = to_image(np.asarray(Image.open(finished / "reference.png")))
    assert record["metrics"]["psnr_64"] == pytest.approx(psnr(picture, reference), abs=1e-3)
    assert record["metrics"]["ssim_64"] == pytest.approx(ssim(picture, reference), abs=1e-4)
    assert record["metrics"]["correction_energy"] == 0


def test_only_what_a_mosaic_used_is_recorded(small, make):
    record = record_of(make(small, guidance=False, steps=1))
    assert "latent_rgb_fit" not in record and "guidance_strength" not in record
    assert record["adapters"] == []


@pytest.mark.parametrize("side", [500, METRIC_SIDE, 2 * METRIC_SIDE + 500])
def test_large_canvases_are_averaged_before_they_are_measured(side):
    canvas = np.random.default_rng(0).integers(0, 256, (side, side + 8, 3), np.uint8)
    small, factor = reduced(canvas), max(1, side // METRIC_SIDE)
    assert min(small.shape[:2]) >= min(side, METRIC_SIDE)
    box = canvas[:factor, :factor].reshape(-1, 3).mean(0)
    assert np.abs(small[0, 0] - box).max() <= 1
