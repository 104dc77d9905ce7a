"""Mosaics of every method on the tiny model, and pools of pictures."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image


@pytest.fixture(scope="session")
def pool(tmp_path_factory) -> Path:
    """A folder of 20 pictures of different sizes and colours, and things that are none."""
    folder, random = tmp_path_factory.mktemp("pool"), np.random.default_rng(0)
    for number in range(20):
        coarse = random.integers(0, 256, (2, 3, 3), np.uint8)
        picture = Image.fromarray(coarse).resize((60 + number, 50), Image.Resampling.BICUBIC)
        picture.save(folder / f"{number:02d}.png")
    (folder / "notes.txt").write_text("no picture")
    (folder / "._00.png").write_text("what another system leaves beside 00.png")
    (folder / "album.jpg").mkdir()
    return folder


@pytest.fixture(scope="session")
def by_method(small, make, photo):
    """Make a small mosaic by a method; the reference is a photo."""

    def run(method: str, out: Path | None = None, **options) -> Path:
        return make(small, out, **{"method": method, "ref": str(photo), "ref_prompt": ""} | options)

    return run
