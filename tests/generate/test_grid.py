import pytest
import torch

from smalti.configs.errors import InputError
from smalti.configs.settings import BaseSettings, MosaicSettings, Settings
from smalti.generate.grid import crop_box, fit_reference, make_grid, parse_grid, split_blocks


def grid_of(resolution: int = 768, **options):
    base = BaseSettings(resolution=resolution)
    return make_grid(Settings(base=base, mosaic=MosaicSettings(**options)))


def test_level_is_a_power_of_two():
    assert parse_grid(MosaicSettings(level=3)) == (8, 8)
    assert parse_grid(MosaicSettings(level=0)) == (1, 1)


@pytest.mark.parametrize("text", ["12x16", " 12 X 16 ", "12×16"])
def test_grid_wins_over_level(text):
    assert parse_grid(MosaicSettings(level=3, grid=text)) == (12, 16)


@pytest.mark.parametrize("text", ["12", "0x4", "4x", "axb", "4x4x4", "300x2", "-1x3", "2.5x3"])
def test_bad_grids_are_refused(text):
    with pytest.raises(InputError, match="grid"):
        parse_grid(MosaicSettings(grid=text))


@pytest.mark.parametrize("size", [100, 16])
def test_bad_tile_sizes_are_refused(size):
    with pytest.raises(InputError, match="tile_size"):
        grid_of(tile_size=size)


def test_the_papers_geometry():
    grid = grid_of(level=3)
    assert (grid.tile, grid.block) == (768, 96)  # Figure 2
    assert grid.canvas_size == (6144, 6144)
    assert grid.reference_size == (768, 768)


def test_guidance_size_keeps_more_of_the_reference_but_no_more_than_a_tile():
    assert grid_of(128, level=3).block == 16
    assert grid_of(128, level=3, guidance_size=32).block == 32
    assert grid_of(128, level=3, guidance_size=500).block == 128


def test_crop_is_centred_and_has_the_grids_aspect():
    grid = grid_of(128, grid="2x3")
    assert crop_box(400, 400, grid) == (66, 0, 267, 400)
    assert crop_box(200, 900, grid) == (0, 300, 200, 300)


def test_blocks_are_row_by_row_and_exact_at_native_size():
    grid = grid_of(64, grid="2x3")
    height, width = grid.reference_size
    image = torch.rand(3, height, width)
    assert torch.equal(fit_reference(image, grid), image)
    blocks, b = split_blocks(image, grid), grid.block
    for index, (row, col) in enumerate(grid.tiles):
        expected = image[:, row * b : (row + 1) * b, col * b : (col + 1) * b]
        assert torch.equal(blocks[index], expected)


def test_a_large_photo_is_brought_to_the_grid():
    grid = grid_of(64, grid="2x3")
    image = torch.full((3, 333, 777), 0.25)
    fitted = fit_reference(image, grid)
    assert fitted.shape[1:] == grid.reference_size
    assert torch.allclose(fitted, torch.tensor(0.25), atol=1e-4)
