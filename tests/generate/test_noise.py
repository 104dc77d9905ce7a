"""Integral noise against brute force: its matrix is written out, or its covariance is measured."""

import pytest
import torch

from smalti.generate.grid import Grid
from smalti.generate.noise import cells_per_tile, coarse_field, subsample, tile_noise
from smalti.models.randomness import normal

K, S = 2, 3
N = S * S
FINE = (K * S) ** 2


def matrix(variant: str) -> torch.Tensor:
    """W = A @ (X, Z) for every fine pixel, column by column from unit vectors."""
    inputs = torch.eye(K * K + FINE, dtype=torch.float64)
    coarse = inputs[:, : K * K].reshape(-1, K, K)
    fine = inputs[:, K * K :].reshape(-1, K * S, K * S)
    return subsample(coarse, fine, variant).flatten(1).T


def block_of(pixel: int) -> int:
    row, col = divmod(pixel, K * S)
    return (row // S) * K + col // S


def test_white_is_exactly_white_with_unit_variance():
    a = matrix("white")
    assert torch.allclose(a @ a.T, torch.eye(FINE, dtype=torch.float64), atol=1e-12)


def test_paper_has_the_covariance_of_its_formula():
    a = matrix("paper")
    covariance = a @ a.T
    for i in range(FINE):
        for j in range(FINE):
            if block_of(i) != block_of(j):
                expected = 0.0
            elif i == j:
                expected = 1 + 1 / N**2
            else:
                expected = 1 / N**2 - 1 / (N - 1)
            assert covariance[i, j].item() == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("variant", ["white", "paper"])
def test_block_integral_is_preserved(variant):
    coarse, fine = torch.randn(4, K, K), torch.randn(4, K * S, K * S)
    out = subsample(coarse, fine, variant)
    for row in range(K):
        for col in range(K):
            block = out[:, row * S : (row + 1) * S, col * S : (col + 1) * S]
            total = block.sum(dim=(1, 2))
            kept = total / N**0.5 if variant == "white" else total  # white: mean * sqrt(N) is X
            assert torch.allclose(kept, coarse[:, row, col], atol=1e-5)


@pytest.mark.parametrize("variant", ["white", "paper"])
def test_without_refinement_noise_is_the_field(variant):
    coarse = torch.randn(4, 8, 8)
    assert torch.allclose(subsample(coarse, torch.randn(4, 8, 8), variant), coarse)


def test_a_tile_depends_on_seed_row_and_column_only():
    field = torch.randn(4, 8, 8)
    small, large = Grid(4, 4, 128, 32), Grid(8, 8, 128, 16)
    first = tile_noise(field, small, (1, 2), 16, 7, "random")
    assert torch.equal(first, tile_noise(field, large, (1, 2), 16, 7, "random"))
    for other in [((2, 1), 7), ((1, 2), 8), ((1, 3), 7)]:
        assert not torch.equal(first, tile_noise(field, small, other[0], 16, other[1], "random"))


def test_tiles_of_one_field_are_jointly_white():
    """Averaging tiles back to the coarse grid recovers X exactly, over the whole mosaic."""
    grid = Grid(2, 3, 64, 16)
    side = 8
    field = coarse_field(grid, 4, side, 0, None)
    cells = cells_per_tile(grid, side)
    assert (cells, field.shape) == (2, (4, 4, 6))
    for row, col in grid.tiles:
        tile = tile_noise(field, grid, (row, col), side, 0, "white")
        mean = torch.nn.functional.avg_pool2d(tile, side // cells) * (side // cells)
        expected = field[:, row * 2 : row * 2 + 2, col * 2 : col * 2 + 2]
        assert torch.allclose(mean, expected, atol=1e-5)


def test_papers_cells_and_drawn_reference():
    assert cells_per_tile(Grid(8, 8, 768, 96), 96) == 12
    assert cells_per_tile(Grid(32, 32, 128, 8), 16) == 1
    source = normal((4, 16, 16), 0, "reference")
    assert torch.equal(coarse_field(Grid(8, 8, 128, 16), 4, 16, 0, source), source)


def test_resampled_reference_noise_is_white_and_keeps_integrals():
    """16 x 16 noise on a 5 x 7 grid: cropped and resampled to 10 x 14 cells."""
    grid, channels = Grid(5, 7, 128, 18), 6_000
    source = normal((channels, 16, 16), 1)
    field = coarse_field(grid, channels, 16, 1, source)
    assert field.shape[1:] == (10, 14)
    flat = field[:, :4, :4].flatten(1)
    covariance = flat.T @ flat / channels
    error = (covariance - torch.eye(16)).abs().max().item()
    assert error < 5 * (2 / channels) ** 0.5
    # The whole width is kept, so each row's integral is: sum * sqrt(cell width). The crop takes
    # 11 of 16 rows, which resampling to 10 rows mixes; compare the sum over everything.
    before = source[:, 2:13].sum(dim=(1, 2)) / (11 * 16) ** 0.5
    after = field.sum(dim=(1, 2)) / (10 * 14) ** 0.5
    assert torch.allclose(before, after, atol=1e-4)
