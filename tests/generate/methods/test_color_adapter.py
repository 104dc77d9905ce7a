"""The colour adapter against diffusers' own pipeline, at its ends, and without its weights."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from diffusers import StableDiffusionAdapterPipeline
from PIL import Image
from tiny import stock_pipeline

from smalti.configs.errors import InputError
from smalti.generate.methods.color_adapter import palette_features
from smalti.generate.sampler import encode_pair, make_scheduler, sample
from smalti.models.color_adapter import load_color_adapter, palette
from smalti.models.conditioning import fold

CFG = 4.0


def tiles_of(folder) -> list[np.ndarray]:
    return [np.asarray(Image.open(p)).astype(int) for p in sorted((folder / "tiles").iterdir())]


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
        text, negative = encode_pair(base, ["a cat", "a dog"], (), "a red car", CFG)
    latents = torch.randn(2, 4, 8, 8, generator=torch.Generator().manual_seed(2))
    scheduler = make_scheduler(base, "ddim", 4)
    residuals = palette_features(base, blocks, 64, scale)
    ours = sample(base, text, negative, latents, scheduler, cfg_scale=CFG, residuals=residuals)
    pipeline = stock_pipeline(
        base, "ddim", StableDiffusionAdapterPipeline, adapter=base.color_adapter
    )
    theirs = pipeline(
        image=palette(blocks),
        prompt_embeds=fold(text),
        negative_prompt_embeds=fold(negative),
        latents=latents,
        num_inference_steps=4,
        guidance_scale=CFG,
        adapter_conditioning_scale=scale,
        output_type="latent",
    ).images
    assert torch.allclose(ours, theirs, atol=2e-4, rtol=1e-3)
    plain = sample(base, text, negative, latents, scheduler, cfg_scale=CFG)
    assert (ours - plain).abs().max() > 0.01


def test_without_strength_it_is_plain_sampling(small, make, photo, by_method):
    plain = make(small, ref=str(photo), ref_prompt="", noise="random", guidance=False)
    none = tiles_of(by_method("color-adapter", adapter_scale=0.0))
    some = tiles_of(by_method("color-adapter"))
    for expected, same, other in zip(tiles_of(plain), none, some, strict=True):
        assert np.array_equal(expected, same)
        assert abs(expected - other).max() > 3


def test_a_base_without_one_is_refused_before_anything_is_loaded(small, make, photo, tmp_path):
    none = replace(small, base=replace(small.base, color_adapter=""))
    given = {"method": "color-adapter", "ref": str(photo), "ref_prompt": ""}
    with pytest.raises(InputError, match="no colour adapter for the base model 'tiny'.*--set"):
        make(none, tmp_path / "m", **given)
    assert not (tmp_path / "m").exists()


def test_weights_that_are_not_there(small):
    missing = replace(small.base, color_adapter="nobody/nothing")
    with pytest.raises(InputError, match="No colour adapter at 'nobody/nothing'.*network"):
        load_color_adapter(missing, torch.device("cpu"), torch.float32)
