"""The reference as tensors: crops, sizes, and blocks cut by slices."""

from dataclasses import replace

import pytest
import torch

from smalti.generate.blocks import crop_box, enlarge, fit_reference, split_blocks
from smalti.generate.grid import Grid

GRID = Grid(2, 3, 64, 21)


def test_crop_is_centred_and_has_the_grids_aspect():
    assert crop_box(400, 400, GRID) == (66, 0, 267, 400)
    assert crop_box(200, 900, GRID) == (0, 300, 200, 300)


def test_blocks_are_row_by_row_and_exact_at_native_size():
    image, b = torch.rand(3, *GRID.reference_size), GRID.block
    assert torch.equal(fit_reference(image, GRID), image)
    for block, (row, col) in zip(split_blocks(image, GRID), GRID.tiles, strict=True):
        assert torch.equal(block, image[:, row * b : (row + 1) * b, col * b : (col + 1) * b])


def test_a_large_photo_is_cropped_and_brought_to_the_grid():
    """What is cut off, left and right, is red; nothing of it is left."""
    image = torch.full((3, 334, 901), 0.25)
    image[0, :, :199] = image[0, :, 702:] = 1  # 501 columns stay
    fitted = fit_reference(image, GRID)
    assert fitted.shape[1:] == GRID.reference_size
    assert (fitted[:, :, 2:-2] - 0.25).abs().max() < 0.02


@pytest.mark.parametrize("side", [8, 32])
def test_enlarged_blocks_keep_their_means_and_stay_pictures(side):
    blocks = torch.rand(2, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    big = enlarge(blocks, side)
    assert big.shape == (2, 3, side, side) and big.min() >= 0 and big.max() <= 1
    assert torch.allclose(big.mean((2, 3)), blocks.mean((2, 3)), atol=0.02)


@pytest.mark.parametrize(
    ("focus", "box"),
    [((0.5, 0.5), (66, 0, 267, 400)), ((0.5, 0.0), (0, 0, 267, 400)),
     ((0.0, 1.0), (133, 0, 267, 400)), ((0.9, 0.4), (26, 0, 267, 400))],
)  # fmt: skip
def test_the_focus_lies_in_the_middle_as_nearly_as_it_can(focus, box):
    assert crop_box(400, 400, replace(GRID, focus=focus)) == box
