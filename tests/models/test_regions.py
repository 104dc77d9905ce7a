"""Regions: their masks, and the blend against a computation pixel by pixel."""

from dataclasses import replace

import pytest
import torch

from smalti.configs.regions import REACH, SEAM, side_by_side
from smalti.models.denoiser import Conditioning, stacked
from smalti.models.prediction import NoiseLevel
from smalti.models.regions import RegionalDenoiser, latent_window, soft_masks

LEVEL = NoiseLevel(torch.tensor(500), 0.6, 0.8)


class Affine:
    """A denoiser of a known output: a factor times z plus what it is conditioned with."""

    def __init__(self, factor: float):
        self.factor, self.calls = factor, 0

    def output(self, z, level, conditioning):
        self.calls += 1
        self.seen, self.conditioning = z, conditioning
        return self.factor * z + conditioning.text[:, :, None, None]

    def clean(self, output, z, level):
        return (z - level.sigma * output) / level.alpha

    def carry(self, level):
        return 1 / level.alpha

    def __call__(self, z, level, conditioning, share=0.5):
        return self.clean(self.output(z, level, conditioning), z, level)


def shown(*values: float) -> Conditioning:
    """The conditioning of one sample whose whole and parts are told by a number each."""
    whole, *parts = (Conditioning(torch.full((1, 4), value)) for value in values)
    return Conditioning(whole.text, parts=tuple(parts))


@pytest.mark.parametrize("count", [2, 3])
def test_neighbours_sum_to_one(count):
    masks = soft_masks(side_by_side(count), 5, 24)
    assert torch.allclose(masks.sum(0), torch.ones(5, 24), atol=1e-6)
    assert masks[0, 0, 0] == 1 and masks[0, 0, -1] == 0 and masks[-1, 0, -1] == 1


def test_a_seam_is_as_wide_as_it_says():
    (left, _) = soft_masks(side_by_side(2), 1, 64)
    assert int(((left > 0) & (left < 1)).sum()) == round(SEAM * 64)
    assert torch.all(left[0, 1:] <= left[0, :-1])


BOXES = [(0.0, 0.1, 0.4, 0.9), (0.5, 0.0, 1.0, 0.7)]


def weight(box, x, y):
    """A mask's value at a point, written out."""
    left, top, right, bottom = box
    found = 1.0
    for at, start, end in ((x, left, right), (y, top, bottom)):
        if start > 0:
            found *= min(1.0, max(0.0, (at - start) / SEAM + 0.5))
        if end < 1:
            found *= min(1.0, max(0.0, (end - at) / SEAM + 0.5))
    return found


def regional(whole, regions, boxes, height, width):
    windows = tuple(latent_window(box, height, width) for box in boxes)
    return RegionalDenoiser(whole, regions, soft_masks(boxes, height, width), windows, 0.2)


def test_the_blend_is_that_of_every_pixel():
    height, width, generator = 8, 12, torch.Generator().manual_seed(0)
    z = torch.randn(2, 4, height, width, generator=generator)
    whole, regions = Affine(0.1), (Affine(0.5), Affine(-0.3))
    denoiser = regional(whole, regions, BOXES, height, width)
    conditioning = stacked([shown(1.0, 2.0, 3.0), shown(-1.0, 0.5, 4.0)])
    found = denoiser(z, LEVEL, conditioning, 0.5)
    for k, y, x in ((0, 0, 0), (0, 3, 4), (1, 5, 5), (1, 7, 11), (0, 4, 6), (1, 1, 9)):
        own = [weight(box, (x + 0.5) / width, (y + 0.5) / height) for box in BOXES]
        weights = [1 - sum(own), *own]
        texts = ((1.0, 2.0, 3.0), (-1.0, 0.5, 4.0))[k]
        value = z[k, :, y, x]
        outputs = [f * value + t for f, t in zip((0.1, 0.5, -0.3), texts, strict=True)]
        clean = sum(w * (value - 0.8 * o) / 0.6 for w, o in zip(weights, outputs, strict=True))
        assert torch.allclose(found[k, :, y, x], clean, atol=1e-5)
    mixed = denoiser.output(z, LEVEL, conditioning)
    assert torch.allclose(denoiser.clean(mixed, z, LEVEL), found, atol=1e-5)


def test_the_whole_alone_draws_the_beginning_and_nothing_where_regions_cover_all():
    z = torch.zeros(1, 4, 8, 8)
    whole, regions = Affine(0.0), (Affine(0.0), Affine(0.0))
    denoiser = regional(whole, regions, side_by_side(2), 8, 8)
    first = denoiser(z, LEVEL, shown(7.0, 1.0, 2.0), 0.1)
    assert torch.allclose(first, torch.full_like(z, -0.8 * 7 / 0.6)) and regions[0].calls == 0
    denoiser(z, LEVEL, shown(7.0, 1.0, 2.0), 0.3)
    assert whole.calls == 1 and [part.calls for part in regions] == [1, 1]


def test_a_region_is_drawn_by_what_sees_its_surroundings_alone():
    z = torch.arange(16.0).expand(1, 4, 16, 16)
    whole, regions = Affine(0.0), (Affine(0.0), Affine(0.0))
    residuals = (torch.rand(1, 3, 16, 16), torch.rand(1, 3, 8, 8))
    conditioning = replace(shown(0.0, 1.0, 2.0), residuals=residuals)
    regional(whole, regions, side_by_side(2), 16, 16)(z, LEVEL, conditioning, 0.5)
    reach = round(REACH * 16)
    assert torch.equal(regions[0].seen, z[..., : 8 + reach])
    assert torch.equal(regions[1].seen, z[..., 8 - reach :])
    first, second = regions[1].conditioning.residuals
    assert torch.equal(first, residuals[0][..., 8 - reach :])
    assert torch.equal(second, residuals[1][..., 4 - reach // 2 :])
