"""How a tile came about: its block, its predictions, and the tile itself at the end."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from smalti.configs.mosaic import mosaic_settings
from smalti.configs.settings import Settings
from smalti.evaluate.evolution import SHOWN, draw_evolution, evolution, is_drawn, most_varied
from smalti.generate.engine import open_engine
from smalti.generate.mosaic import generate_mosaic
from smalti.models.sheets import MARGIN


@pytest.fixture
def settings(tiny_settings, tmp_path: Path) -> Settings:
    """Two by two blocks, of which only the second is not flat."""
    picture = np.full((64, 64, 3), 90, np.uint8)
    picture[:32, 32:48], picture[:32, 48:] = 255, 0
    Image.fromarray(picture).save(tmp_path / "photo.png")
    quick = {"ref": str(tmp_path / "photo.png"), "grid": "2x2", "tile_prompt": ("a cat",),
             "steps": 3, "mixed_precision": "no"}  # fmt: skip
    return Settings(base=tiny_settings, mosaic=mosaic_settings(**quick))


def test_the_last_prediction_is_the_tile(settings: Settings, tmp_path: Path):
    """Drawn alone and again it is what the mosaic has; the block before it is the reference's."""
    out = tmp_path / "mosaic"
    generate_mosaic(settings, out, concepts_dir=tmp_path)
    before = {path: path.read_bytes() for path in (out / "tiles").iterdir()}
    engine = open_engine(settings.base, settings.mosaic.machine)
    block, *predictions = evolution(engine, settings, out)
    assert len(predictions) == SHOWN
    tile = np.asarray(Image.open(out / "tiles" / "r00_c01.png"), int)
    assert np.abs(np.asarray(predictions[-1], int) - tile).max() <= 1
    assert np.abs(np.asarray(predictions[0], int) - tile).max() > 1
    left, right = np.split(np.asarray(block, int), 2, axis=1)
    assert left[:, :8].min() > 200 and right[:, -8:].max() < 50
    assert before == {path: path.read_bytes() for path in (out / "tiles").iterdir()}


def test_a_row_for_every_mosaic(settings: Settings, tmp_path: Path):
    out, sheet = tmp_path / "mosaic", tmp_path / "evolution.png"
    generate_mosaic(settings, out, concepts_dir=tmp_path)
    wanted = [("one", settings, out), ("two", settings, out)]
    assert not is_drawn(wanted, sheet)
    draw_evolution(wanted, sheet)
    assert is_drawn(wanted, sheet) and not is_drawn(wanted[:1], sheet)
    picture = Image.open(sheet)
    assert picture.height >= 2 * (128 + MARGIN) and picture.width >= 9 * (128 + MARGIN)


def test_the_block_that_varies_most_is_taken():
    flat, split = torch.full((3, 4, 4), 0.9), torch.zeros(3, 4, 4)
    split[:, 2:] = 0.3
    assert most_varied({(0, 0): flat, (0, 1): split, (1, 0): flat}) == (0, 1)
