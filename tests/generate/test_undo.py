"""Tiles drawn anew with another prompt, and taken back."""

import shutil

import pytest
from drawn import record_of, tiles_of
from refusals import refused

from smalti.generate.undo import take_back


@pytest.fixture
def copy(finished, tmp_path):
    """A finished mosaic that may be written to."""
    return shutil.copytree(finished, tmp_path / "m")


def test_a_tile_is_taken_back_and_brought_again(finished, small, make, copy):
    before, mosaic = tiles_of(copy), (copy / "mosaic.png").read_bytes()
    make(small, copy, retile=[(1, 2)], seed=7)
    new, drawn = tiles_of(copy), (copy / "mosaic.png").read_bytes()
    assert take_back(copy, [(1, 2)]) == copy / "mosaic.png"
    assert tiles_of(copy) == before and (copy / "mosaic.png").read_bytes() == mosaic
    assert record_of(copy)["tiles"] == record_of(finished)["tiles"]
    take_back(copy, [(1, 2)])
    assert tiles_of(copy) == new and (copy / "mosaic.png").read_bytes() == drawn


def test_what_was_never_drawn_anew_is_refused(copy):
    with refused("0,1"):
        take_back(copy, [(0, 1)])
    assert record_of(copy)["state"] == "finished"


def test_another_prompt_is_for_that_tile_alone(finished, small, make, copy):
    make(small, copy, retile=[(0, 1)], tile_prompt=("a red car",))
    tiles = record_of(copy)["tiles"]
    old = record_of(finished)["tiles"]
    assert tiles["r00_c01"]["prompt"] == "a red car"
    assert {k: v for k, v in tiles.items() if k != "r00_c01"} == {
        k: v for k, v in old.items() if k != "r00_c01"
    }
    assert record_of(copy)["settings"] == record_of(finished)["settings"]
    assert record_of(copy)["identity"] == record_of(finished)["identity"]
    make(small, copy)  # the first command leaves it alone
    assert record_of(copy)["tiles"]["r00_c01"]["prompt"] == "a red car"
