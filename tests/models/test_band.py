"""The band that guides share, and its ways in and out, against loops and closed forms."""

import math

import pytest
import torch

from smalti.models.band import (
    LowPass,
    along_both,
    area_matrix,
    blur_matrix,
    blur_sigma,
    mean_shift,
    spread_matrix,
)


def test_blur_is_a_normalised_gaussian():
    size, sigma = 9, 1.5
    blur = blur_matrix(size, sigma)
    for i in range(size):
        weights = [math.exp(-((i - j) ** 2) / (2 * sigma**2)) for j in range(size)]
        for j in range(size):
            assert blur[i, j].item() == pytest.approx(weights[j] / sum(weights), abs=1e-12)
    assert torch.equal(blur_matrix(4, 0.0), torch.eye(4, dtype=torch.float64))


def test_low_pass_keeps_flat_images_and_averages_areas():
    assert torch.allclose(LowPass(8, 2.0)(torch.full((1, 3, 32, 32), 0.3)), torch.tensor(0.3))
    image = torch.rand(1, 3, 32, 32)
    expected = image.reshape(1, 3, 8, 4, 8, 4).mean(dim=(3, 5))
    assert torch.allclose(LowPass(8, 0.0)(image), expected, atol=1e-6)


def test_low_pass_counts_cut_pixels_in_part():
    """3 pixels on 2: each takes one whole pixel and half of the middle one."""
    image = torch.tensor([0.0, 3.0, 6.0]).expand(1, 3, 3, 3)
    assert torch.allclose(LowPass(2, 0.0)(image)[0, 0, 0], torch.tensor([1.0, 5.0]))


@pytest.mark.parametrize(("cells", "size"), [(1, 8), (2, 16), (4, 16), (3, 16), (8, 8)])
def test_an_enlarged_band_has_the_means_it_was_made_of(cells, size):
    low = torch.rand(2, 3, cells, cells, dtype=torch.float64)
    big = along_both(spread_matrix(cells, size), low)
    assert torch.allclose(along_both(area_matrix(size, cells), big), low, atol=1e-10)
    flat = along_both(spread_matrix(cells, size), torch.full((1, cells, cells), 0.7))
    assert torch.allclose(flat, torch.tensor(0.7), atol=1e-5)


def test_an_enlarged_band_has_no_steps_at_its_cells():
    """Repeating each cell has the same means, and jumps by the whole difference at an edge."""
    spread = spread_matrix(4, 32) @ torch.tensor([0.0, 1.0, 0.0, 1.0], dtype=torch.float64)
    assert spread.diff().abs().max() < 0.5


def test_a_blur_is_as_wide_as_its_cells():
    """A box of w pixels has the variance of a uniform distribution."""
    size, cells = 96, 4
    box = torch.arange(size / cells, dtype=torch.float64)
    assert blur_sigma(size, cells) == pytest.approx(
        box.std(correction=0).item() * math.sqrt(24**2 / (24**2 - 1))
    )


def test_a_shift_of_means_leads_to_the_wanted_ones_and_no_further():
    g = torch.Generator().manual_seed(0)
    images = torch.rand(2, 3, 16, 16, generator=g, dtype=torch.float64)
    target = torch.rand(2, 3, 4, 4, generator=g, dtype=torch.float64)
    moved = images + mean_shift(images, target)
    means = moved.reshape(2, 3, 4, 4, 4, 4).mean(dim=(3, 5))
    assert torch.allclose(means, target, atol=1e-10)
    assert mean_shift(moved, target).abs().max() < 1e-10
