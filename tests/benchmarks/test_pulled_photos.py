"""Photos in the tiles' places: cut, joined, and pulled by exactly as much as is said."""

import torch
from pulled_photos import CELLS, cut, joined, pulled


def test_joined_undoes_cut_and_blocks_go_row_by_row() -> None:
    picture = torch.rand(3, 48, 48, generator=torch.Generator().manual_seed(0))
    blocks = cut(picture, 9)
    assert torch.equal(blocks[5], picture[:, 16:32, 32:48])
    assert torch.equal(joined(blocks), picture)


def test_pulled_moves_the_cells_means_by_the_strength() -> None:
    """Away from black and white nothing is clipped, so that the means are exact."""
    generator = torch.Generator().manual_seed(1)
    tiles = 0.45 + 0.1 * torch.rand(2, 3, 32, 32, generator=generator)
    blocks = 0.45 + 0.1 * torch.rand(2, 3, 32, 32, generator=generator)
    means = torch.nn.AvgPool2d(32 // CELLS)
    for strength in (0.0, 0.3, 1.0):
        expected = means(tiles) + strength * (means(blocks) - means(tiles))
        torch.testing.assert_close(means(pulled(tiles, blocks, strength)), expected)


def test_pulled_stays_between_black_and_white() -> None:
    tiles, blocks = torch.zeros(1, 3, 32, 32), torch.ones(1, 3, 32, 32)
    tiles[..., ::2] = 1
    drawn = pulled(tiles, blocks, 1.0)
    assert drawn.min() >= 0 and drawn.max() <= 1
