"""The enlarged latents that "quilt" starts from, against torch's own enlargement of the whole."""

import pytest
import torch

from smalti.generate.grid import Grid
from smalti.generate.methods.upscaling import encode_whole, upscaled
from smalti.models.randomness import normal


@pytest.mark.parametrize("shape", [(2, 3), (1, 1), (4, 4)])
def test_a_tiles_latents_are_its_part_of_the_enlarged_picture(shape):
    grid, latents = Grid(*shape, 64, 16), normal((4, 2 * shape[0], 2 * shape[1]), 1)
    size = (8 * shape[0], 8 * shape[1])
    whole = torch.nn.functional.interpolate(latents[None], size=size, mode="bicubic")[0]
    for row, col in grid.tiles:
        part = whole[:, 8 * row : 8 * row + 8, 8 * col : 8 * col + 8]
        assert torch.allclose(upscaled(latents, grid, (row, col), 8), part, atol=1e-5)


def test_a_reference_of_any_size_is_encoded_whole(tiny_base):
    assert encode_whole(tiny_base, torch.rand(3, 42, 63)).shape == (4, 6, 8)
    picture = torch.rand(3, 48, 64, generator=torch.Generator().manual_seed(0))
    assert torch.allclose(encode_whole(tiny_base, picture), tiny_base.encode(picture[None])[0])
