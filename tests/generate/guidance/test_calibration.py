"""What tiles promise of a mosaic: against SSIM of mosaics that were put together, and by hand."""

import math

import pytest
import torch
from torch.nn.functional import interpolate

from smalti.generate.blocks import split_blocks
from smalti.generate.grid import Grid
from smalti.generate.guidance.calibration import (
    LEAST_OWN,
    MARGIN,
    STEP,
    WEAKEST,
    Outlook,
    Seen,
    donors,
    error_variance,
    kept_out,
    local_variance,
    pulls_between,
    resized,
    scattered,
    view_of,
)
from smalti.models.band import along_both, area_matrix, spread_matrix
from smalti.models.metrics import ssim
from smalti.models.randomness import normal

GRIDS = {"4x4": Grid(4, 4, 64, 16), "8x8": Grid(8, 8, 64, 8), "5x9": Grid(5, 9, 64, 8)}


def cloud(height: int, width: int, cells: int, *key: object) -> torch.Tensor:
    """Soft shapes [3, height, width] around 0."""
    coarse = normal((1, 3, cells, cells), 0, *key)
    return interpolate(coarse, size=(height, width), mode="bicubic")[0]


def low(images: torch.Tensor) -> torch.Tensor:
    """The band of 8 x 8 cells of tiles [..., 64, 64]."""
    return along_both(spread_matrix(8, 64) @ area_matrix(64, 8), images)


class World:
    """A reference, and tiles m = r + (1 - s)^p (n - k r) + h that know nothing of it."""

    def __init__(self, grid: Grid, pulls: float = 4.0, answer: float = 1.0):
        """Tiles lose `answer` times the contrast of r."""
        self.grid, self.pulls, self.answer = grid, pulls, answer
        soft = 0.5 + 0.16 * cloud(*grid.reference_size, 9, "reference")
        self.reference = soft.clamp(0, 1)
        blocks = split_blocks(self.reference, grid)
        self.blocks = resized(blocks, 64)
        free = [0.12 * cloud(64, 64, 9, "tile", *tile) for tile in grid.tiles]
        self.free = torch.stack(free)

    def tiles(self, strength: float) -> torch.Tensor:
        """All tiles [rows*cols, 3, 64, 64]."""
        error = low(self.free - self.answer * (self.blocks - 0.5))
        share = (1 - strength) ** self.pulls
        return self.blocks + share * error + (self.free - low(self.free)) / 2

    def seen(self, strength: float, count: int) -> dict:
        """Tiles that were drawn."""
        images = dict(zip(self.grid.tiles, self.tiles(strength), strict=True))
        return {t: Seen(strength, images[t]) for t in scattered(self.grid, count)}

    def ssim(self, strength: float) -> float:
        """SSIM@64 of the whole mosaic, by torchmetrics."""
        rows = self.tiles(strength).unflatten(0, (self.grid.rows, self.grid.cols))
        whole = torch.cat([torch.cat(list(row), dim=2) for row in rows], dim=1)
        return ssim(whole.clamp(0, 1), self.reference)

    def outlook(self, seen: dict, pulls: float | None = None) -> Outlook:
        """What the tiles promise."""
        view = view_of(self.reference, self.grid, 8)
        return Outlook(view, seen, pulls or self.pulls)


@pytest.mark.parametrize("grid", GRIDS)
def test_a_mosaic_that_is_all_there_is_what_it_is(grid):
    world = World(GRIDS[grid])
    outlook = world.outlook(world.seen(0.2, len(world.grid.tiles)))
    assert outlook.ssim(0.5) == outlook.ssim(0.1) == pytest.approx(world.ssim(0.2), abs=0.002)


@pytest.mark.parametrize("answer", [0.3, 1.0])
@pytest.mark.parametrize("grid", GRIDS)
def test_a_quarter_of_the_tiles_tells_the_others_at_any_strength(grid, answer):
    world = World(GRIDS[grid], answer=answer)
    outlook = world.outlook(world.seen(0.25, len(world.grid.tiles) // 4))
    for strength in (0.2, 0.25, 0.35):
        mixed = world.ssim(strength)
        assert outlook.ssim(strength) == pytest.approx(mixed, abs=0.06)


def test_the_weakest_pull_is_that_of_a_search_by_hand():
    world = World(GRIDS["8x8"])
    outlook = world.outlook(world.seen(0.25, 6))
    steps = [round(STEP * i, 3) for i in range(round(WEAKEST / STEP), 80)]
    for target in (0.5, 0.6, 0.7):
        assert outlook.weakest(target) == next(s for s in steps if outlook.ssim(s) >= target)


def test_a_pull_stays_within_its_bounds():
    world = World(GRIDS["8x8"])
    outlook = world.outlook(world.seen(0.25, 6))
    assert outlook.weakest(0) == WEAKEST
    own = (1 - outlook.weakest(1)) ** world.pulls
    assert LEAST_OWN <= own < LEAST_OWN * 1.05


def test_what_lies_above_the_band_is_out_of_reach():
    """At full strength the band is the reference's, and what is left is the tiles' own."""
    world = World(GRIDS["4x4"])
    outlook = world.outlook(world.seen(0.25, 4))
    best = world.ssim(1.0)
    assert best < 0.95
    assert outlook.within_reach(0.99) == pytest.approx(best - MARGIN, abs=0.05)
    assert outlook.within_reach(0.3) == 0.3


@pytest.mark.parametrize("pulls", [1.5, 3.0, 6.0])
def test_p_is_found_from_two_strengths(pulls):
    world = World(GRIDS["8x8"], pulls=pulls)
    view = view_of(world.reference, world.grid, 8)
    first, again = (error_variance(view, world.seen(s, 3)) for s in (0.25, 0.33))
    assert pulls_between(0.25, first, 0.33, again) == pytest.approx(pulls, abs=0.05)


def test_p_of_numbers_that_cannot_be_stays_in_its_range():
    assert pulls_between(0.2, 1.0, 0.3, 2.0) == 1.0  # more error under a stronger pull
    assert pulls_between(0.2, 1.0, 0.3, 0.0) == 10.0
    assert pulls_between(0.2, 1.0, 0.4, (0.6 / 0.8) ** 8) == 4.0


def test_k_is_the_slope_of_errors_on_the_reference():
    blocks, noise = torch.rand(5, 3, 8, 8), normal((5, 3, 8, 8), 1)
    centred = blocks - blocks.mean(dim=(0, 2, 3), keepdim=True)
    noise = noise - noise.mean(dim=(0, 2, 3), keepdim=True)
    noise = noise - centred * (noise * centred).sum() / centred.square().sum()  # uncorrelated
    for slope in (0.0, 0.4, 1.7):
        assert kept_out(noise - slope * blocks + 0.3, blocks) == pytest.approx(slope, abs=1e-5)
    assert kept_out(noise + blocks, blocks) == 0


def test_local_variance_of_a_step_edge():
    """In a window centred on the edge, half of the weight is 1 but for the middle column."""
    picture = (torch.arange(64) >= 32).float().expand(1, 3, 64, 64)
    column = torch.exp(-0.5 * (torch.arange(-5, 6) / 1.5) ** 2)
    ones = float(column[5:].sum() / column.sum())
    found = local_variance(picture)
    assert found.shape == (1, 3, 54, 54)
    assert float(found[0, 0, 10, 27]) == pytest.approx(ones * (1 - ones), abs=1e-5)
    assert float(found[0, 0, 10, 0]) == 0


@pytest.mark.parametrize("side", [6, 16, 32])
def test_resizing_keeps_area_means(side):
    images = torch.rand(2, 3, 16, 16)
    means = along_both(area_matrix(side, 2), resized(images, side))
    assert torch.allclose(means, along_both(area_matrix(16, 2), images), atol=1e-5)


@pytest.mark.parametrize("count", [3, 4, 5, 16])
def test_no_tile_stands_beside_itself(count):
    grid = Grid(6, 7, 64, 16)
    placed = dict(zip(grid.tiles, donors(grid, count).tolist(), strict=True))
    near = [(0, 1), (1, 0)] if count < 4 else [(0, 1), (1, 0), (1, 1), (1, -1)]
    for (row, col), donor in placed.items():
        assert all(placed.get((row + down, col + across)) != donor for down, across in near)
    used = [list(placed.values()).count(i) for i in range(count)]
    assert max(used) - min(used) <= 3


@pytest.mark.parametrize("size", [(8, 8), (16, 16), (3, 20), (1, 2)])
def test_scattered_tiles_cover_the_grid_however_few(size):
    grid = Grid(*size, 64, 16)
    found = scattered(grid, len(grid.tiles))
    assert sorted(found) == grid.tiles
    assert scattered(grid, 3) == found[:3]
    few = found[: math.ceil(len(found) / 4)]
    for axis in (0, 1):
        below = sum(tile[axis] < size[axis] / 2 for tile in few) / len(few)
        assert size[axis] < 4 or 0.3 <= below <= 0.7
