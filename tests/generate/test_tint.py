"""The last pixel step: exact inside its cap, never beyond it, and accounted for."""

import numpy as np
import pytest
import torch

from smalti.generate.tint import correction_energy, tint


def means(images, cells):
    side = images.shape[-1] // cells
    return images.reshape(*images.shape[:2], cells, side, cells, side).mean(dim=(3, 5))


@pytest.fixture
def tiles():
    g = torch.Generator().manual_seed(0)
    return 0.4 + 0.2 * torch.rand(2, 3, 64, 64, generator=g), torch.rand(2, 3, 16, 16, generator=g)


def test_without_an_amplitude_nothing_changes(tiles):
    images, blocks = tiles
    same = tint(images, blocks, cells=4, amplitude=0.0)
    assert torch.equal(same, images) and correction_energy(same, images) == [0.0, 0.0]


def test_a_large_cap_gives_the_blocks_means(tiles):
    images, blocks = tiles
    tinted = tint(images, 0.4 + 0.2 * blocks, cells=4, amplitude=1.0)
    assert torch.allclose(means(tinted, 4), means(0.4 + 0.2 * blocks, 4), atol=1e-5)


def test_no_pixel_moves_further_than_the_cap_and_the_energy_is_its_mean_square(tiles):
    images, blocks = tiles
    tinted = tint(images, blocks, cells=4, amplitude=0.02)
    energy = correction_energy(tinted, images)
    change = (tinted - images).double().numpy()
    assert np.abs(change).max() <= 0.02 + 1e-6
    assert energy == pytest.approx([np.mean(one**2) for one in change], rel=1e-5)
    assert min(energy) > 0
