"""Projection against least squares, loops over cells, and a decoder bent by a known share."""

import pytest
import torch
from linear_base import MATRIX, LinearBase, means, step

from smalti.generate.guidance.projection import ProjectionGuide


def projection(base: LinearBase, blocks, **options) -> ProjectionGuide:
    return ProjectionGuide(base.linear_decoder, base.decode, blocks, **options)


@pytest.mark.parametrize("cells", [1, 2, 4, 8])
@pytest.mark.parametrize("index", [0, 9])
def test_projection_gives_the_tile_its_blocks_means(tiles, cells, index):
    x0, z, blocks = tiles
    same, guided = projection(LinearBase(), blocks, cells=cells)(z, x0, step(index))
    assert torch.equal(same, z)
    assert torch.allclose(
        means(LinearBase().decode(guided), cells), means(blocks, cells), atol=1e-5
    )


def test_projection_is_the_smallest_change_that_reaches_the_means(tiles):
    """With cells of one latent pixel: least squares pixel by pixel says the same."""
    x0, z, blocks = tiles
    change = projection(LinearBase(), blocks, cells=16)(z, x0, step())[1] - x0
    wanted = means(blocks, 16) - LinearBase().decode(x0)[..., ::8, ::8]
    flat = wanted.movedim(1, 0).flatten(1)
    expected = torch.linalg.lstsq(MATRIX, flat, driver="gelsd").solution
    assert torch.allclose(change.movedim(1, 0).flatten(1), expected, atol=1e-4)


def test_strength_is_the_share_of_the_error_that_goes(tiles):
    x0, z, blocks = tiles
    guide = projection(LinearBase(), blocks, cells=4, strength=0.3)
    before = means(LinearBase().decode(x0), 4) - means(blocks, 4)
    after = means(LinearBase().decode(guide(z, x0, step())[1]), 4) - means(blocks, 4)
    assert torch.allclose(after, 0.7 * before, atol=1e-5)


@pytest.mark.parametrize("strength", [1.0, 0.4])
def test_corrections_see_at_the_last_step_what_the_map_gets_wrong(tiles, strength):
    """The decoder bends contrasts by 30 %: a pull of p at the decoded tile goes 1.3 p of the way.

    A look is a pull that would leave (1 - strength)^3 if nothing were bent.
    """
    x0, z, blocks = tiles
    base, target = LinearBase(bend=0.3), means(blocks, 4)
    at_first = means(LinearBase().decode(x0), 4) - target

    def error(corrections, index):
        guide = projection(base, blocks, cells=4, strength=strength, corrections=corrections)
        return means(base.decode(guide(z, x0, step(index))[1]), 4) - target

    for corrections in range(3):
        by_the_map = (1 - strength) * at_first
        blind = by_the_map + 0.3 * (by_the_map + target - 0.5)
        assert torch.allclose(error(corrections, 8), blind, atol=1e-5), "not before the last step"
        expected = (1 - 1.3 * (1 - (1 - strength) ** 3)) ** corrections * blind
        assert torch.allclose(error(corrections, 9), expected, atol=1e-5)


@pytest.mark.parametrize("count", [1, 2, 4, 5])
def test_of_at_most_four_steps_every_one_looks(tiles, count):
    """The decoder bends contrasts; a look leaves less of the error than the map alone does."""
    x0, z, blocks = tiles
    base, target = LinearBase(bend=0.3), means(blocks, 4)

    def error(corrections: int, index: int) -> torch.Tensor:
        guide = projection(base, blocks, cells=4, strength=0.4, corrections=corrections)
        return (means(base.decode(guide(z, x0, step(index, count))[1]), 4) - target).abs().mean()

    for index in range(count):
        looks = count <= 4 or index == count - 1
        assert bool(error(1, index) < 0.5 * error(0, index)) == looks
