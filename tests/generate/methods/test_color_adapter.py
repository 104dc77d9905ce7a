"""The colour adapter against diffusers' own pipeline, at its ends, and without its weights."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from diffusers import StableDiffusionAdapterPipeline
from drawn import pixels_of
from tiny import stock_pipeline

from smalti.configs.errors import InputError
from smalti.models.attention import fold
from smalti.models.color_adapter import load_color_adapter, palette, palette_features
from smalti.models.denoiser import with_cfg
from smalti.models.denoising import denoise, make_scheduler

CFG = 4.0


def test_a_palette_is_the_mean_of_every_cell():
    pictures = torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    expected = torch.empty_like(pictures)
    for row in range(0, 64, 8):
        for col in range(0, 64, 8):
            cell = (..., slice(row, row + 8), slice(col, col + 8))
            expected[cell] = pictures[cell].mean((2, 3), keepdim=True)
    assert torch.allclose(palette(pictures), expected, atol=1e-6)


def test_it_is_the_stock_adapter_pipeline(tiny_base):
    base, scale = tiny_base, 0.7
    blocks = torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        text, negative = base.encode_text(["a cat", "a dog"]), base.encode_text(["a red car"])
    latents = torch.randn(2, 4, 8, 8, generator=torch.Generator().manual_seed(2))
    scheduler = make_scheduler(base, "ddim", 4)
    denoiser = with_cfg(base.denoiser, negative, CFG)
    residuals = tuple(palette_features(base, blocks, scale))
    ours = denoise(denoiser, scheduler, latents, replace(text, residuals=residuals))
    pipeline = stock_pipeline(
        base, "ddim", StableDiffusionAdapterPipeline, adapter=base.color_adapter
    )
    theirs = pipeline(
        image=palette(blocks),
        prompt_embeds=fold(text.text),
        negative_prompt_embeds=fold(negative.repeated(2).text),
        latents=latents,
        num_inference_steps=4,
        guidance_scale=CFG,
        adapter_conditioning_scale=scale,
        output_type="latent",
    ).images
    assert torch.allclose(ours, theirs, atol=2e-4, rtol=1e-3)
    plain = denoise(denoiser, make_scheduler(base, "ddim", 4), latents, text)
    assert (ours - plain).abs().max() > 0.01


def test_without_strength_it_is_plain_sampling(small, make, photo, by_method):
    plain = make(small, ref=str(photo), ref_prompt="", noise="random", guidance=False)
    none = pixels_of(by_method("color-adapter", adapter_scale=0.0))
    some = pixels_of(by_method("color-adapter"))
    for name, expected in pixels_of(plain).items():
        assert np.array_equal(expected, none[name])
        assert abs(expected - some[name]).max() > 3


def test_a_base_without_one_is_refused_before_anything_is_loaded(small, make, photo, tmp_path):
    none = replace(small, base=replace(small.base, color_adapter=""))
    given = {"method": "color-adapter", "ref": str(photo), "ref_prompt": ""}
    with pytest.raises(InputError) as told:
        make(none, tmp_path / "m", **given)
    assert "base.color_adapter" in str(told.value)
    assert not (tmp_path / "m").exists()


def test_weights_that_are_not_there(small):
    missing = replace(small.base, color_adapter="nobody/nothing")
    with pytest.raises(InputError) as told:
        load_color_adapter(missing, torch.device("cpu"), torch.float32)
    assert "nobody/nothing" in str(told.value)
