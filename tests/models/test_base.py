"""What both stages know of a base: facts, latents, schedulers, decoders, fingerprint."""

import shutil
from copy import deepcopy
from dataclasses import replace

import pytest
import torch
from safetensors.torch import load_file, save_file
from tiny import LAYERS, make_tiny_sd

from smalti.configs.base import BaseSettings
from smalti.configs.errors import InputError
from smalti.configs.mosaic import SCHEDULERS
from smalti.models.base import weights_fingerprint
from smalti.models.bases import load_base


@pytest.fixture(scope="module")
def zero_snr_base(tmp_path_factory):
    """v-prediction with zero-terminal SNR and a tiny VAE: the starter's kind."""
    folder = tmp_path_factory.mktemp("zero") / "m"
    make_tiny_sd(folder, prediction_type="v_prediction", vae="tiny")
    return load_base(BaseSettings(name="zero", source=str(folder), resolution=64), device="cpu")


@pytest.fixture(params=["kl", "tiny"])
def any_vae(request, tiny_base, zero_snr_base):
    return tiny_base if request.param == "kl" else zero_snr_base


def test_facts(tiny_base):
    assert (tiny_base.layers, tiny_base.latent_channels, tiny_base.latent_factor) == (LAYERS, 4, 8)
    assert (tiny_base.resolution, tiny_base.concepts.embedding_dim) == (64, 32)
    modules = (tiny_base.unet, tiny_base.text_encoder, tiny_base.vae)
    assert not any(module.training for module in modules)
    assert not any(p.requires_grad for module in modules for p in module.parameters())


def test_latents_are_scaled_and_images_lie_in_the_unit_range(any_vae):
    images = torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(1))
    vae = any_vae.vae
    with torch.no_grad():
        coded = vae.encode(images * 2 - 1)
        raw = coded.latents if hasattr(coded, "latents") else coded.latent_dist.mean
        pictures = vae.decode(raw).sample
    latents = any_vae.encode(images)
    assert latents.shape == (2, 4, 8, 8)
    torch.testing.assert_close(latents, raw * vae.config.scaling_factor)
    torch.testing.assert_close(any_vae.decode(latents), (pictures + 1) / 2)
    # An image's latent does not depend on its batch.
    torch.testing.assert_close(any_vae.encode(images[:1]), latents[:1])


def test_decoding_is_not_clamped_and_has_the_right_gradient(any_vae):
    generator = torch.Generator().manual_seed(2)
    exact = replace(any_vae, vae=deepcopy(any_vae.vae).double(), dtype=torch.float64)
    latents = torch.randn(1, 4, 8, 8, generator=generator).double().requires_grad_()
    weights = torch.randn(1, 3, 64, 64, generator=generator).double()

    def value(place: torch.Tensor) -> torch.Tensor:
        return (exact.decode(place) * weights).sum()

    # Along the gradient the slope is the gradient's norm; steps are small for the ReLUs' sake.
    (gradient,) = torch.autograd.grad(value(latents), latents)
    step = 1e-3 * gradient / gradient.norm()
    with torch.no_grad():
        slope = (value(latents + step) - value(latents - step)) / 2e-3
    torch.testing.assert_close(gradient.norm(), slope, rtol=2e-2, atol=0)
    if type(any_vae.vae).__name__ == "AutoencoderKL":
        images = any_vae.decode(latents.detach() * 20)
        assert images.min() < 0 or images.max() > 1


@pytest.mark.parametrize("name", SCHEDULERS)
def test_with_zero_snr_every_scheduler_recovers_what_a_perfect_model_predicts(zero_snr_base, name):
    """The oracle knows x0: v = alpha eps - sigma x0, with eps read off the noisy latent."""
    generator = torch.Generator().manual_seed(3)
    clean, latents = torch.randn(2, 1, 4, 8, 8, generator=generator)
    scheduler = zero_snr_base.scheduler(name)
    scheduler.set_timesteps(8)
    assert scheduler.timesteps[0] == 999
    for timestep in scheduler.timesteps:
        alpha = scheduler.alphas_cumprod[timestep].sqrt()
        sigma = (1 - alpha**2).sqrt()
        velocity = alpha * (latents - alpha * clean) / sigma - sigma * clean
        latents = scheduler.step(velocity, timestep, latents).prev_sample
    torch.testing.assert_close(latents, clean, rtol=0, atol=0.1)


@pytest.mark.parametrize("name", SCHEDULERS)
def test_schedulers_without_zero_snr_keep_the_bases_betas(tiny_base, name):
    scheduler = tiny_base.scheduler(name)
    betas = torch.linspace(0.00085**0.5, 0.012**0.5, 1000) ** 2
    torch.testing.assert_close(scheduler.alphas_cumprod, (1 - betas).cumprod(0))
    assert scheduler.config.prediction_type == "epsilon"


def test_fingerprint_depends_on_the_weights_only(tiny_base, tiny_sd, tmp_path):
    half = tmp_path / "half"
    shutil.copytree(tiny_sd, half)
    for path in half.rglob("*.safetensors"):
        save_file({key: value.half() for key, value in load_file(path).items()}, path)
    assert weights_fingerprint(half) == tiny_base.fingerprint
    unet = half / "unet/diffusion_pytorch_model.safetensors"
    weights = load_file(unet)
    weights["conv_in.bias"][0] += 0.5
    save_file(weights, unet)
    assert weights_fingerprint(half) != tiny_base.fingerprint


def test_an_unknown_scheduler_is_refused_by_name(tiny_base):
    with pytest.raises(InputError) as caught:
        tiny_base.scheduler("euler")
    assert "euler" in str(caught.value) and "dpm++" in str(caught.value)


def test_a_proof_is_decoded_by_the_tiny_decoder_where_there_is_one(tiny_base, zero_snr_base):
    latents = torch.randn(1, 4, 8, 8, generator=torch.Generator().manual_seed(4))
    plain = tiny_base.tile_decoder(proof=True)(latents)
    assert torch.equal(plain, tiny_base.decode(latents)), "without one, proofs are tiles"
    settings = replace(tiny_base.settings, tiny_vae=str(zero_snr_base.folder / "vae"))
    small = replace(tiny_base, settings=settings)
    proof = small.tile_decoder(proof=True)(latents)
    expected = zero_snr_base.vae.decode(latents).sample / 2 + 0.5
    torch.testing.assert_close(proof, expected)
    assert torch.equal(small.tile_decoder(proof=False)(latents), plain)


def test_decoders_go_by_name(tiny_base):
    latents = torch.randn(1, 4, 8, 8, generator=torch.Generator().manual_seed(4))
    assert torch.equal(tiny_base.decoder("full")(latents), tiny_base.decode(latents))
    assert tiny_base.decoder("linear")(latents).shape == (1, 3, 8, 8)
    with pytest.raises(InputError) as caught:
        tiny_base.decoder("tiny")
    assert "base.tiny_vae" in str(caught.value)
