"""Colour features against means of cells; nearest pictures against a brute-force loop."""

import pytest
import torch

from smalti.configs.errors import InputError
from smalti.generate.grid import Grid
from smalti.generate.methods.match import pictures_needed
from smalti.generate.methods.matching import color_features, nearest, nearest_sources


def random(*shape: int) -> torch.Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("side", [24, 64])
def test_features_are_the_means_of_equal_parts(side):
    """CIELAB from scikit-image."""
    skimage = pytest.importorskip("skimage.color")
    image, part = random(1, 3, side, side), side // 4
    lab = torch.from_numpy(skimage.rgb2lab(image[0].permute(1, 2, 0).double().numpy()))
    ours = color_features(image, 4).reshape(3, 4, 4)
    for row in range(4):
        for col in range(4):
            cell = lab[row * part : (row + 1) * part, col * part : (col + 1) * part]
            assert torch.allclose(ours[:, row, col].double(), cell.mean(dim=(0, 1)), atol=0.02)


@pytest.mark.parametrize("distance", [0, 1, 2])
def test_nearest_sources_against_a_loop_over_everything(distance):
    grid, blocks, pool = Grid(5, 4, 64, 16), random(20, 12), random(15, 12)
    expected: dict = {}
    for tile in range(20):
        row, col = divmod(tile, 4)
        best, best_error = None, float("inf")
        for index in range(15):
            used_near = any(
                source == index and abs(r - row) <= distance and abs(c - col) <= distance
                for (r, c), source in expected.items()
            )
            error = sum((float(blocks[tile, i]) - float(pool[index, i])) ** 2 for i in range(12))
            if not used_near and error < best_error:
                best, best_error = index, error
        expected[row, col] = best
    assert nearest_sources(blocks, pool, grid, distance) == expected


@pytest.mark.parametrize("shape", [(1, 1), (1, 9), (9, 1), (2, 7), (5, 5), (8, 8)])
@pytest.mark.parametrize("distance", [0, 1, 2, 10])
def test_no_repeat_within_the_distance_with_as_few_pictures_as_needed(shape, distance):
    """All blocks want the same picture; with one picture fewer there may be none left."""
    grid = Grid(*shape, 64, 16)
    count = pictures_needed(grid, distance)
    pool = torch.arange(count)[:, None].float()
    placed = nearest_sources(torch.zeros(len(grid.tiles), 1), pool, grid, distance)
    for tile, source in placed.items():
        for other, other_source in placed.items():
            apart = max(abs(tile[0] - other[0]), abs(tile[1] - other[1]))
            assert tile == other or apart > distance or source != other_source
    if distance >= max(shape):
        assert count == len(grid.tiles)


def test_a_pool_with_nothing_left_says_so():
    with pytest.raises(InputError) as told:
        nearest(torch.zeros(2), random(3, 2), {0, 1, 2})
    assert "mosaic.repeat_distance" in str(told.value)
    assert nearest(torch.zeros(1), torch.tensor([[3.0], [1.0], [2.0]]), {1}) == 2
