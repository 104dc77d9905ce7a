"""Mixing with the reference's prediction: ratios, bands, and both ends of each."""

import numpy as np
import pytest
import torch
from drawn import pixels_of

from smalti.generate.blocks import enlarge, split_blocks
from smalti.generate.grid import Grid
from smalti.generate.methods.mixing import blended, factorized
from smalti.generate.store import Store
from smalti.models.pixels import to_pixels

GRID = Grid(2, 3, 64, 21)


@pytest.fixture
def latents():
    g = torch.Generator().manual_seed(0)
    return torch.randn(2, 2, 4, 8, 8, generator=g).unbind()


def means(x: torch.Tensor, cells: int) -> torch.Tensor:
    part = x.shape[-1] // cells
    return x.reshape(*x.shape[:2], cells, part, cells, part).mean(dim=(3, 5))


def decoded_blocks(base, folder) -> dict[str, np.ndarray]:
    """What the autoencoder makes of each enlarged block."""
    blocks = split_blocks(Store(folder, GRID).reference(), GRID)
    with torch.no_grad():
        images = base.decode(base.encode(enlarge(blocks, 64)))
    names = [f"r{row:02d}_c{col:02d}.png" for row, col in GRID.tiles]
    return {n: to_pixels(i).astype(int) for n, i in zip(names, images, strict=True)}


@pytest.mark.parametrize("share", [0.0, 0.2, 0.5, 1.0])
def test_predictions_are_mixed_in_the_ratio(latents, share):
    x0, reference = latents
    expected = (1 - share) * x0.double() + share * reference.double()
    assert torch.allclose(blended(reference, share)(x0).double(), expected, atol=1e-6)


@pytest.mark.parametrize("cells", [1, 2, 4])
def test_the_low_band_is_the_references_and_the_rest_the_predictions(latents, cells):
    x0, reference = latents
    mixed = factorized(reference, cells)(x0)
    assert torch.allclose(means(mixed, cells), means(reference, cells), atol=1e-5)
    # What lies above the band cannot be told from x0's: with x0's own band put back, it is x0.
    assert torch.allclose(factorized(x0, cells)(mixed), x0, atol=1e-5)
    assert torch.allclose(factorized(reference, cells)(reference), reference, atol=1e-5)


def test_one_cell_exchanges_the_mean_alone(latents):
    x0, reference = latents
    expected = x0 - x0.mean((2, 3), keepdim=True) + reference.mean((2, 3), keepdim=True)
    assert torch.allclose(factorized(reference, 1)(x0), expected, atol=1e-5)


def test_a_band_of_everything_is_the_reference(latents):
    x0, reference = latents
    assert torch.allclose(factorized(reference, 8)(x0), reference, atol=1e-5)


def test_mixing_clean_predictions_is_mixing_those_of_the_noise(latents):
    """Factorized diffusion is written for eps: eps = low(eps of one) + high(eps of the other)."""
    x0, reference = (x.double() for x in latents)
    z, alpha, sigma = torch.randn_like(x0), 0.6, 0.8
    eps, eps_reference = (z - alpha * x0) / sigma, (z - alpha * reference) / sigma
    mixed = factorized(eps_reference, 4)(eps)
    assert torch.allclose((z - sigma * mixed) / alpha, factorized(reference, 4)(x0), atol=1e-6)


def test_a_blend_of_nothing_is_plain_sampling(small, make, photo, by_method):
    plain = make(small, ref=str(photo), ref_prompt="", noise="random", guidance=False)
    none, some = by_method("noise-blend", blend=0.0), by_method("noise-blend", blend=0.3)
    for name, pixels in pixels_of(plain).items():
        assert np.array_equal(pixels, pixels_of(none)[name])
        assert abs(pixels - pixels_of(some)[name]).max() > 3


@pytest.mark.parametrize(
    ("method", "whole", "part"),
    [
        ("noise-blend", {"blend": 1.0}, {"blend": 0.5}),
        ("factorized", {"low_pass_cells": 100}, {"low_pass_cells": 4}),
    ],
)
def test_all_of_the_reference_is_the_reference(by_method, tiny_base, method, whole, part):
    """DPM++ ends at its last prediction."""
    out, less = by_method(method, **whole), by_method(method, **part)
    for name, expected in decoded_blocks(tiny_base, out).items():
        assert abs(pixels_of(out)[name] - expected).max() <= 1
        assert abs(pixels_of(less)[name] - expected).max() > 3
