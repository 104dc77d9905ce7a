"""What classical methods do to pixels, against closed forms and scikit-image."""

import pytest
import torch

from smalti.configs.mosaic import mosaic_settings
from smalti.generate.methods.histogram import Histogram
from smalti.generate.methods.match import Match
from smalti.generate.methods.pixels import map_tone, match_histograms
from smalti.generate.methods.tone import Tone


@pytest.fixture
def pair():
    """Pool pictures [2, 3, 64, 64] and blocks [2, 3, 16, 16] in 8-bit values."""
    g = torch.Generator().manual_seed(0)
    images, blocks = torch.rand(2, 3, 64, 64, generator=g), torch.rand(2, 3, 16, 16, generator=g)
    return tuple((x**2 * 255).round() / 255 for x in (images, 0.3 + 0.4 * blocks))


def test_histogram_matching_agrees_with_scikit_image(pair):
    images, blocks = pair
    exposure = pytest.importorskip("skimage.exposure")
    ours = match_histograms(images, blocks)
    for image, block, one in zip(images, blocks, ours, strict=True):
        theirs = exposure.match_histograms(image.numpy(), block.numpy(), channel_axis=0)
        assert torch.allclose(one, torch.from_numpy(theirs).float(), atol=1e-6)
    assert (ours - images).abs().max() > 0.1


def test_a_flat_block_makes_a_flat_picture(pair):
    images, _ = pair
    flat = torch.full((2, 3, 16, 16), 0.25)
    assert torch.allclose(match_histograms(images, flat), torch.tensor(0.25))
    assert torch.allclose(map_tone(images, flat), torch.tensor(0.25), atol=1e-3)


def test_tone_mapping_gives_mean_and_deviation_of_the_block(pair):
    """Where nothing is clipped: y = m + s (x - mean x) / std x."""
    images, blocks = pair
    images, blocks = 0.4 + 0.2 * images, 0.4 + 0.2 * blocks
    toned = map_tone(images, blocks)
    assert toned.min() > 0 and toned.max() < 1
    for k in range(2):
        for c in range(3):
            x, b = images[k, c].double(), blocks[k, c].double()
            z = (x - x.mean()) / (x - x.mean()).square().mean().sqrt()
            expected = b.mean() + (b - b.mean()).square().mean().sqrt() * z
            assert torch.allclose(toned[k, c].double(), expected, atol=1e-5)


def test_tone_mapping_stays_a_picture(pair):
    images, _ = pair
    bright = (torch.arange(256).reshape(1, 1, 16, 16) % 2).float().expand(2, 3, 16, 16)
    toned = map_tone(images, bright)
    assert toned.min() == 0 and toned.max() == 1


@pytest.mark.parametrize("share", [0.0, 0.25, 1.0])
def test_matched_pictures_go_a_share_of_the_way(pair, share):
    images, blocks = pair
    ours = Match().adjust(images, blocks, mosaic_settings(method="match", tone_adjustment=share))
    assert torch.allclose(ours, (1 - share) * images + share * map_tone(images, blocks), atol=1e-6)


def test_tone_and_histogram_go_all_the_way(pair):
    images, blocks = pair
    toned = Tone().adjust(images, blocks, mosaic_settings(method="tone"))
    assert torch.allclose(toned, map_tone(images, blocks), atol=1e-6)
    matched = Histogram().adjust(images, blocks, mosaic_settings(method="histogram"))
    assert torch.equal(matched, match_histograms(images, blocks))
