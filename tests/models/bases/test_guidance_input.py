"""A UNet that takes the scale of guidance as an input, as latent consistency models have it."""

import json

import pytest
import torch
from diffusers import LatentConsistencyModelPipeline, UNet2DConditionModel
from tiny import make_tiny_sd, make_unet, stock_pipeline

from smalti.configs.base import BaseSettings
from smalti.models.bases import load_base
from smalti.models.bases.sd import USUAL_GUIDANCE, guidance_embedding
from smalti.models.denoiser import with_cfg
from smalti.models.denoising import denoise, make_scheduler


@pytest.fixture(scope="module")
def distilled(tmp_path_factory):
    """A tiny base whose UNet is told the scale."""
    folder = make_tiny_sd(tmp_path_factory.mktemp("lcm") / "m")
    torch.manual_seed(0)
    unet = UNet2DConditionModel.from_config(make_unet().config, time_cond_proj_dim=32)
    unet.save_pretrained(folder / "unet")
    settings = BaseSettings(name="lcm", source=str(folder), resolution=64)
    assert json.loads((folder / "unet/config.json").read_text())["time_cond_proj_dim"] == 32
    return load_base(settings, device="cpu", gradients=False)


@pytest.mark.parametrize("scale", [1.0, 1.5, 8.0])
@pytest.mark.parametrize("width", [32, 33, 256])
def test_scales_are_embedded_as_diffusers_does(scale, width):
    w = torch.tensor([scale - 1])
    theirs = LatentConsistencyModelPipeline.get_guidance_scale_embedding(None, w, width)
    # The same angles to a rounding of theirs, which are thousands.
    torch.testing.assert_close(guidance_embedding(scale, width), theirs, atol=3e-3, rtol=0)


@torch.no_grad()
@pytest.mark.parametrize("scale", [2.0, 8.0])
def test_a_step_is_that_of_diffusers_own_pipeline(distilled, scale):
    latents = torch.randn(2, 4, 8, 8, generator=torch.Generator().manual_seed(1))
    shown = distilled.encode_text(["a cat", "a dog"])
    denoiser = with_cfg(distilled.denoiser, distilled.encode_text([""]), scale)
    found = denoise(denoiser, make_scheduler(distilled, "lcm", 1), latents, shown)
    pipeline = stock_pipeline(distilled, "lcm", LatentConsistencyModelPipeline)
    theirs = pipeline(
        prompt_embeds=shown.text[:, 0], latents=latents, num_inference_steps=1,
        guidance_scale=scale, output_type="latent",
    ).images  # fmt: skip
    torch.testing.assert_close(found, theirs, atol=1e-3, rtol=1e-3)
    other = denoise(with_cfg(distilled.denoiser, shown, scale + 1),
                    make_scheduler(distilled, "lcm", 1), latents, shown)  # fmt: skip
    assert (other - found).abs().max() > 1e-3


@torch.no_grad()
def test_without_a_word_the_usual_scale_is_told_and_nothing_doubles(distilled):
    z, shown = torch.ones(2, 4, 8, 8), distilled.encode_text(["a cat", "a dog"])
    level = distilled.denoiser.level(torch.tensor([500]))
    batches = []
    hook = distilled.unet.register_forward_pre_hook(lambda _, given: batches.append(len(given[0])))
    plain = distilled.denoiser(z, level, shown)
    told = with_cfg(distilled.denoiser, shown, USUAL_GUIDANCE)(z, level, shown)
    alone = with_cfg(distilled.denoiser, shown, 1.0)(z, level, shown)
    hook.remove()
    assert torch.equal(plain, told) and not torch.equal(plain, alone)
    assert batches == [2, 2, 2]


def test_other_bases_are_told_nothing(tiny_base):
    assert tiny_base.usual_guidance is None and tiny_base.denoiser.guidance is None
