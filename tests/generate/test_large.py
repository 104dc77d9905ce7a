"""Mosaics above 179 megapixels: a tiled TIFF, read by others, and a small PNG."""

import subprocess
import sys

import numpy as np
import pytest
import tifffile
import torch
from drawn import record_of
from PIL import Image

from smalti.configs.settings import Settings
from smalti.generate import large
from smalti.generate.finish import finish, mosaic_file
from smalti.generate.grid import Grid
from smalti.generate.large import is_large, small_canvas, write_tiff
from smalti.generate.store import Store


def noisy(folder, grid: Grid) -> Store:
    """A store of noise whose reference is noise too."""
    store, g = Store(folder, grid), torch.Generator().manual_seed(0)
    store.claim({})
    store.save_reference(torch.rand(3, *grid.reference_size, generator=g))
    for tile in grid.tiles:
        store.save(tile, torch.rand(3, grid.tile, grid.tile, generator=g), {"seed": 0}, "")
    return store


def test_the_bound_is_where_readers_begin_to_refuse():
    assert Image.MAX_IMAGE_PIXELS is not None
    assert abs(large.LARGEST - 2 * Image.MAX_IMAGE_PIXELS) <= 2
    assert is_large(Grid(100, 100, 768, 8)) and not is_large(Grid(100, 100, 128, 8))


@pytest.mark.parametrize(("tile", "side"), [(32, 32), (40, 80), (48, 48), (56, 112)])
def test_the_tiff_is_the_canvas_tile_by_tile(tmp_path, tile, side):
    store = noisy(tmp_path / "m", Grid(3, 5, tile, 8))
    write_tiff(store, tmp_path / "a.tif", "a prompt, größer", "<x:xmpmeta/>")
    with tifffile.TiffFile(tmp_path / "a.tif") as file:
        page = file.pages[0]
        assert file.is_bigtiff and page.is_tiled and page.tile == (side, side)
        assert page.tags[700].value == b"<x:xmpmeta/>"
    with Image.open(tmp_path / "a.tif") as image:
        assert image.info["icc_profile"] and image.info["dpi"] == (300, 300)
        assert np.array_equal(np.asarray(image), store.canvas())


def test_a_large_mosaic_is_a_tiff_and_a_small_png(tmp_path, monkeypatch):
    store = noisy(tmp_path / "m", Grid(3, 4, 64, 16))
    finish(store, Settings(), ["noise"])
    plain = record_of(store.folder)["metrics"]
    assert mosaic_file(store).name == "mosaic.png"
    monkeypatch.setattr(large, "LARGEST", 1000)
    monkeypatch.setattr(large, "SMALL_SIDE", 128)
    finish(store, Settings(), ["noise"])
    assert mosaic_file(store) == store.folder / "mosaic.tif"
    with Image.open(store.folder / "mosaic.png") as image:
        assert image.size == (128, 96) and "Size: 256x192" in image.info["parameters"]
        small = np.asarray(image).astype(int)
    box = store.canvas().reshape(96, 2, 128, 2, 3).mean((1, 3))
    assert np.abs(small - box).max() <= 1 and np.array_equal(small, small_canvas(store))
    with Image.open(store.folder / "mosaic.tif") as image:
        assert np.array_equal(np.asarray(image), store.canvas())
    found = record_of(store.folder)
    assert found["state"] == "finished"
    assert found["metrics"]["psnr_64"] == pytest.approx(plain["psnr_64"], abs=0.05)


SCRIPT = """
import resource, sys
from pathlib import Path
from smalti.generate.grid import Grid
from smalti.generate.large import write_tiff
from smalti.generate.store import Store
rows = int(sys.argv[2])
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
write_tiff(Store(Path(sys.argv[1]), Grid(rows, 24, 256, 8)), Path(sys.argv[1]) / "a.tif", "", "")
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""


@pytest.mark.slow
def test_memory_does_not_grow_with_the_mosaic(tmp_path):
    """Four times the rows, 38 megapixels, cost no canvas: far less than its 113 MB."""
    grown = []
    for rows in (6, 24):
        folder = tmp_path / str(rows)
        (folder / "tiles").mkdir(parents=True)
        tile = np.random.default_rng(0).integers(0, 256, (256, 256, 3), np.uint8)
        Image.fromarray(tile).save(folder / "one.png")
        for row in range(rows):
            for col in range(24):
                (folder / f"tiles/r{row:02d}_c{col:02d}.png").symlink_to(folder / "one.png")
        command = [sys.executable, "-c", SCRIPT, str(folder), str(rows)]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        grown.append(int(done.stdout) / 1024)
    assert grown[1] - grown[0] < 40, grown
