"""Photos in the tiles' places: joined, and pulled by exactly as much as is said."""

import torch
from pulled_photos import joined, pulled

from smalti.generate.blocks import split_blocks
from smalti.generate.grid import Grid

CELLS = 8


def test_joined_undoes_the_cut_and_tiles_go_row_by_row() -> None:
    grid = Grid(rows=3, cols=2, tile=16, block=16)
    picture = torch.rand(3, 48, 32, generator=torch.Generator().manual_seed(0))
    blocks = split_blocks(picture, grid)
    assert torch.equal(blocks[5], picture[:, 32:48, 16:32])
    assert torch.equal(joined(blocks, grid), picture)


def test_pulled_moves_the_cells_means_by_the_strength() -> None:
    """Away from black and white nothing is clipped, so that the means are exact."""
    generator = torch.Generator().manual_seed(1)
    tiles = 0.45 + 0.1 * torch.rand(2, 3, 32, 32, generator=generator)
    blocks = 0.45 + 0.1 * torch.rand(2, 3, 32, 32, generator=generator)
    means = torch.nn.AvgPool2d(32 // CELLS)
    for strength in (0.0, 0.3, 1.0):
        expected = means(tiles) + strength * (means(blocks) - means(tiles))
        torch.testing.assert_close(means(pulled(tiles, blocks, CELLS, strength)), expected)


def test_pulled_stays_between_black_and_white() -> None:
    tiles, blocks = torch.zeros(1, 3, 32, 32), torch.ones(1, 3, 32, 32)
    tiles[..., ::2] = 1
    drawn = pulled(tiles, blocks, CELLS, 1.0)
    assert drawn.min() >= 0 and drawn.max() <= 1
