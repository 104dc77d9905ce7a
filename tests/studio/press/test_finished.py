"""What the press opens, and what it refuses in a line."""

import shutil

import pytest
from drawn import edit_record
from PIL import Image
from refusals import refused

from smalti.studio.press.finished import open_finished, tile_facts


@pytest.fixture
def copy(folder, tmp_path):
    return shutil.copytree(folder, tmp_path / "copy", ignore=shutil.ignore_patterns("print"))


def test_a_finished_mosaic_is_known_by_its_record(mosaic, folder):
    assert (mosaic.grid.rows, mosaic.grid.cols, mosaic.grid.tile) == (3, 4, 32)
    assert mosaic.name == "small" and mosaic.reference == folder / "reference.png"
    assert tile_facts(mosaic, (2, 3))["seed"] == 2 and tile_facts(mosaic, (8, 8)) == {}
    assert b"trainedAlgorithmicMedia" in mosaic.xmp


def test_no_mosaic_and_an_unfinished_one(copy, tmp_path):
    with refused(str(tmp_path)):
        open_finished(tmp_path)
    edit_record(copy, state="unfinished")
    with refused(str(copy)):
        open_finished(copy)


def test_a_tile_of_another_size_damaged_or_lost(copy):
    tile = copy / "tiles/r01_c02.png"
    Image.new("RGB", (32, 31)).save(tile)
    with refused("r01_c02", "32x31", "32x32"):
        open_finished(copy)
    tile.write_bytes(b"\x89PNG")
    with refused("r01_c02"):
        open_finished(copy)
    tile.unlink()
    with refused("r01_c02"):
        open_finished(copy)


def test_a_tile_that_breaks_off_is_found_when_it_is_read(copy):
    path = copy / "tiles/r00_c00.png"
    path.write_bytes(path.read_bytes()[:-40])
    mosaic = open_finished(copy)
    with refused("r00_c00"):
        mosaic.read((0, 0))
