"""Colour alignment against statistics taken one by one, flat pictures, and the autoencoder."""

import pytest
import torch

from smalti.generate.alignment import (
    MIN_STD,
    channel_statistics,
    latent_alignment,
    match_statistics,
    pixel_alignment,
)


def test_aligned_tiles_have_the_blocks_statistics():
    tiles, blocks = torch.randn(3, 4, 16, 16) * 2 + 1, torch.randn(3, 4, 6, 6) - 3
    out = match_statistics(tiles, *channel_statistics(blocks))
    for k in range(3):
        for c in range(4):
            assert out[k, c].mean().item() == pytest.approx(blocks[k, c].mean().item(), abs=1e-5)
            wanted = blocks[k, c].std(correction=0).item()
            assert out[k, c].std(correction=0).item() == pytest.approx(wanted, abs=1e-5)


def test_alignment_is_affine_per_channel():
    tile = torch.randn(1, 4, 8, 8)
    out = match_statistics(tile, torch.zeros(1, 4, 1, 1), torch.full((1, 4, 1, 1), 2.0))
    ratio = (out - out.mean((2, 3), keepdim=True)) / (tile - tile.mean((2, 3), keepdim=True))
    assert torch.allclose(ratio, ratio[..., :1, :1].expand_as(ratio), rtol=1e-3)


def test_flat_tiles_and_flat_blocks_stay_finite_with_finite_gradients():
    flat = torch.full((1, 4, 8, 8), 0.5, requires_grad=True)
    textured = torch.randn(1, 4, 8, 8)
    to_textured = match_statistics(flat, *channel_statistics(textured))
    assert torch.allclose(to_textured, channel_statistics(textured)[0].expand_as(flat), atol=1e-4)
    (gradient,) = torch.autograd.grad(to_textured.square().sum(), flat)
    assert gradient.isfinite().all()
    to_flat = match_statistics(textured, *channel_statistics(flat.detach()))
    assert (to_flat - 0.5).abs().max() < 10 * MIN_STD


def test_latent_alignment_takes_the_encoded_blocks_statistics(tiny_base):
    blocks = torch.rand(2, 3, 64, 64)
    x0 = torch.randn(2, 4, 8, 8)
    mean, std = channel_statistics(latent_alignment(tiny_base, blocks, 64)(x0))
    code = tiny_base.vae.encode(blocks * 2 - 1).latent_dist.mean
    raw = code * tiny_base.vae.config.scaling_factor
    assert torch.allclose(mean.squeeze(), raw.mean((2, 3)), atol=1e-4)
    assert torch.allclose(std.squeeze(), raw.std((2, 3), correction=0), atol=1e-3)


def test_pixel_alignment_changes_nothing_where_statistics_agree_already(tiny_base):
    x0 = torch.randn(1, 4, 8, 8)
    pixels = tiny_base.decode(x0).detach()
    assert torch.allclose(pixel_alignment(tiny_base, pixels)(x0), x0, atol=1e-4)


def test_pixel_alignment_passes_gradients_on_unchanged(tiny_base):
    x0 = torch.randn(1, 4, 8, 8, requires_grad=True)
    out = pixel_alignment(tiny_base, torch.rand(1, 3, 16, 16))(x0)
    (gradient,) = torch.autograd.grad(out.sum(), x0)
    assert torch.equal(gradient, torch.ones_like(x0))
