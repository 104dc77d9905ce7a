"""Fidelity from afar, against formulas written out and against scikit-image and SciPy."""

import numpy as np
import pytest
import torch
from scipy.ndimage import convolve1d
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from smalti.models.metrics import at_resolution, psnr, pyramid_errors, ssim


@pytest.fixture
def pair():
    """Two alike pictures of 64 px, at which nothing is resized."""
    g = torch.Generator().manual_seed(0)
    picture = torch.rand(3, 64, 64, generator=g)
    return picture, (picture + 0.1 * torch.randn(3, 64, 64, generator=g)).clamp(0, 1)


def test_psnr_and_ssim_are_scikit_images(pair):
    a, b = (x.movedim(0, -1).numpy() for x in pair)
    assert psnr(*pair) == pytest.approx(peak_signal_noise_ratio(b, a, data_range=1), abs=1e-4)
    theirs = structural_similarity(
        a, b, channel_axis=2, data_range=1, gaussian_weights=True, use_sample_covariance=False
    )
    assert ssim(*pair) == pytest.approx(theirs, abs=0.01)  # they crop the border, torchmetrics pads


def test_what_only_shows_near_does_not_count_from_afar():
    """Stripes of one pixel at 256 px are grey at 64 px, but for the filter cut off at the edges."""
    stripes = torch.tensor([0.0, 1.0]).repeat(128).expand(3, 256, 256)
    assert at_resolution(stripes)[..., 1:-1].sub(0.5).abs().max() < 1e-6
    assert psnr(stripes, torch.full((3, 64, 64), 0.5)) > 40
    assert psnr(stripes, torch.full((3, 64, 64), 0.6)) == pytest.approx(20, abs=0.1)


def test_pyramid_against_scipy():
    """Binomial smoothing with mirrored borders, then every second pixel, four times."""
    g = np.random.default_rng(0)
    a, b = g.random((2, 3, 256, 256), dtype=np.float32)
    expected, levels = [], [a, b]
    for _ in range(4):
        for axis in (1, 2):
            kernel = np.array([1, 4, 6, 4, 1]) / 16
            levels = [convolve1d(x, kernel, axis=axis, mode="mirror") for x in levels]
        levels = [x[:, ::2, ::2] for x in levels]
        expected.append(np.mean((levels[0] - levels[1]) ** 2))
    found = pyramid_errors(torch.from_numpy(a), torch.from_numpy(b))
    assert found == pytest.approx(expected, rel=1e-4)
    assert levels[0].shape == (3, 16, 16)


def test_a_shift_of_tone_is_seen_at_every_level(pair):
    assert pyramid_errors(pair[0], pair[0] + 0.1) == pytest.approx([0.01] * 4, rel=1e-3)


def test_psnr_and_ssim_of_known_pictures():
    flat = torch.full((3, 128, 128), 0.5)
    assert psnr(flat + 0.1, flat) == pytest.approx(20.0, abs=1e-3)  # 10 log10(1 / 0.01)
    assert ssim(flat, flat) == pytest.approx(1.0, abs=1e-4)


def test_sizes_and_shapes_are_brought_together():
    """Shades that change slowly are the same at any size; the shorter side becomes 64 px."""
    across = torch.linspace(0, 1, 96).expand(3, 64, 96)
    assert at_resolution(across.repeat_interleave(4, 1)[:, :128]).shape == (1, 3, 85, 64)
    large = torch.nn.functional.interpolate(across[None], size=(256, 384), mode="bilinear")[0]
    assert psnr(large, across) > 40
    assert psnr(large.flip(2), across) < 10
