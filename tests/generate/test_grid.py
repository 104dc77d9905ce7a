"""The grid: what a user writes, and the paper's geometry."""

import pytest
from refusals import refused

from smalti.configs.errors import InputError
from smalti.configs.mosaic import PictureSettings, mosaic_settings
from smalti.configs.settings import BaseSettings, Settings
from smalti.generate.grid import make_grid, parse_crop, parse_grid


def grid_of(resolution: int = 768, **options):
    settings = Settings(base=BaseSettings(resolution=resolution), mosaic=mosaic_settings(**options))
    return make_grid(settings)


@pytest.mark.parametrize("level", [0, 3, 7])
def test_level_is_a_power_of_two(level):
    assert parse_grid(PictureSettings(level=level)) == (2**level, 2**level)


@pytest.mark.parametrize("text", ["12x16", " 12 X 16 ", "12×16"])
def test_grid_wins_over_level(text):
    assert parse_grid(PictureSettings(level=3, grid=text)) == (12, 16)


@pytest.mark.parametrize("text", ["12", "0x4", "4x", "axb", "4x4x4", "300x2", "-1x3", "2.5x3"])
def test_bad_grids_are_refused(text):
    with pytest.raises(InputError) as told:
        parse_grid(PictureSettings(grid=text))
    assert "--grid" in str(told.value) and text in str(told.value)


@pytest.mark.parametrize("size", [100, 16])
def test_bad_tile_sizes_are_refused(size):
    with pytest.raises(InputError) as told:
        grid_of(tile_size=size)
    assert f"tile_size {size}" in str(told.value)


def test_the_papers_geometry():
    grid = grid_of(level=3)
    assert (grid.tile, grid.block) == (768, 96)  # Figure 2
    assert grid.canvas_size == (6144, 6144)
    assert grid.reference_size == (768, 768)


def test_tiles_run_row_by_row():
    assert grid_of(grid="2x3").tiles == [(0, 0), (0, 1), (0, 2), (1, 0), (1, 1), (1, 2)]


def test_guidance_size_keeps_more_of_the_reference_but_no_more_than_a_tile():
    assert grid_of(128, level=3).block == 16
    assert grid_of(128, level=3, guidance_size=32).block == 32
    assert grid_of(128, level=3, guidance_size=500).block == 128


@pytest.mark.parametrize(
    ("text", "focus"), [("center", (0.5, 0.5)), ("top", (0.5, 0)), (" 0.25 , 1 ", (0.25, 1))]
)
def test_crops(text, focus):
    assert parse_crop(text) == focus


@pytest.mark.parametrize("text", ["", "left", "0.5", "1.2,0", "0.5,0.5,0.5", "-0.1,0", "..,0"])
def test_what_is_no_crop_is_refused(text):
    with refused("--crop"):
        parse_crop(text)
