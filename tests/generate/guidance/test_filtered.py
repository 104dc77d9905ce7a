"""The filtered difference against plain convolutions."""

import torch
from linear_base import step
from torch.nn.functional import conv1d

from smalti.generate.blocks import enlarge
from smalti.generate.guidance.filtered import FilteredDifferenceGuide
from smalti.models.band import blur_sigma


class EncodingBase:
    def encode(self, images):
        return torch.stack([images[:, i % 3, ::8, ::8] for i in range(4)], 1)


def test_filtered_difference_against_convolutions(tiles):
    """A Gaussian along each axis; where it is cut by an edge, what is left counts as the whole."""
    x0, z, blocks = tiles
    guide = FilteredDifferenceGuide(EncodingBase(), blocks, 128, cells=4, strength=0.5)
    same, guided = guide(z, x0, step())
    difference = EncodingBase().encode(enlarge(blocks, 128)) - x0
    sigma, at = blur_sigma(16, 4), torch.arange(-15, 16)
    kernel = torch.exp(-0.5 * (at / sigma) ** 2)[None, None]

    def blurred(x):
        rows = x.reshape(-1, 1, 16)
        return conv1d(rows, kernel, padding=15) / conv1d(torch.ones(1, 1, 16), kernel, padding=15)

    low = blurred(difference).reshape(difference.shape).transpose(2, 3)
    low = blurred(low.contiguous()).reshape(difference.shape).transpose(2, 3)
    assert torch.equal(same, z)
    assert torch.allclose(guided, x0 + 0.5 * low, atol=1e-5)
