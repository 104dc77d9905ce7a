"""Loading a base model: facts, latents, schedulers, fingerprint, errors."""

import importlib.util
import shutil
from copy import deepcopy
from dataclasses import replace

import pytest
import torch
from safetensors.torch import load_file, save_file
from tiny import make_tiny_sd

from smalti.configs.errors import InputError
from smalti.configs.settings import SCHEDULERS, BaseSettings
from smalti.models import files
from smalti.models.base import is_present, load_base
from smalti.models.device import free_memory, pick_device, resolve_precision


@pytest.fixture(scope="module")
def zero_snr_base(tmp_path_factory):
    """v-prediction with zero-terminal SNR and a tiny VAE: the starter's kind."""
    folder = tmp_path_factory.mktemp("zero") / "m"
    make_tiny_sd(folder, prediction_type="v_prediction", vae="tiny")
    return load_base(BaseSettings(name="zero", source=str(folder), resolution=64), device="cpu")


@pytest.fixture(params=["kl", "tiny"])
def any_base(request, tiny_base, zero_snr_base):
    return tiny_base if request.param == "kl" else zero_snr_base


def test_facts(tiny_base):
    assert (tiny_base.layers, tiny_base.latent_channels, tiny_base.latent_factor) == (16, 4, 8)
    assert (tiny_base.resolution, tiny_base.concepts.embedding_dim) == (64, 32)
    assert tiny_base.prediction_type == "epsilon"
    modules = (tiny_base.unet, tiny_base.text_encoder, tiny_base.vae)
    assert not any(module.training for module in modules)
    assert not any(p.requires_grad for module in modules for p in module.parameters())


def test_latents_are_scaled_and_images_lie_in_the_unit_range(any_base):
    images = torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(1))
    vae = any_base.vae
    with torch.no_grad():
        coded = vae.encode(images * 2 - 1)
        raw = coded.latents if hasattr(coded, "latents") else coded.latent_dist.mean
        pictures = vae.decode(raw).sample
    latents = any_base.encode(images)
    assert latents.shape == (2, 4, 8, 8)
    torch.testing.assert_close(latents, raw * vae.config.scaling_factor)
    torch.testing.assert_close(any_base.decode(latents), (pictures + 1) / 2)
    # An image's latent does not depend on its batch.
    torch.testing.assert_close(any_base.encode(images[:1]), latents[:1])


def test_decoding_is_not_clamped_and_has_the_right_gradient(any_base):
    generator = torch.Generator().manual_seed(2)
    exact = replace(any_base, vae=deepcopy(any_base.vae).double(), dtype=torch.float64)
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
    if type(any_base.vae).__name__ == "AutoencoderKL":
        images = any_base.decode(latents.detach() * 20)
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


def test_unknown_scheduler(tiny_base):
    with pytest.raises(InputError, match="ddim, dpm"):
        tiny_base.scheduler("euler")


def test_fingerprint_depends_on_the_weights_only(tiny_base, tiny_sd, tmp_path):
    half = tmp_path / "half"
    shutil.copytree(tiny_sd, half)
    for path in half.rglob("*.safetensors"):
        save_file({key: value.half() for key, value in load_file(path).items()}, path)
    settings = BaseSettings(name="another-name", source=str(half), resolution=64)
    assert load_base(settings, device="cpu").fingerprint == tiny_base.fingerprint
    unet = half / "unet/diffusion_pytorch_model.safetensors"
    weights = load_file(unet)
    weights["conv_in.bias"][0] += 0.5
    save_file(weights, unet)
    assert load_base(settings, device="cpu").fingerprint != tiny_base.fingerprint


def test_half_precision_base(tiny_settings):
    base = load_base(tiny_settings, device="cpu", dtype=torch.bfloat16)
    assert base.unet.dtype == base.text_encoder.dtype == base.vae.dtype == torch.bfloat16
    assert base.encode(torch.rand(1, 3, 64, 64)).dtype == torch.float32
    assert base.decode(torch.zeros(1, 4, 8, 8)).dtype == torch.float32


def test_a_variant_file_is_found_without_being_named(tiny_sd, tmp_path):
    folder = tmp_path / "variant"
    shutil.copytree(tiny_sd, folder)
    for path in folder.rglob("*.safetensors"):
        path.rename(path.with_suffix(".fp16.safetensors"))
    settings = BaseSettings(name="v", source=str(folder), resolution=64)
    assert is_present(settings)
    assert load_base(settings, device="cpu").layers == 16


def test_source_inside_the_package_comes_first(tiny_sd, tmp_path, monkeypatch):
    monkeypatch.setattr(files, "PACKAGE", tmp_path)
    shutil.copytree(tiny_sd, tmp_path / "models/here")
    assert files.locate(BaseSettings(source="models/here")) == tmp_path / "models/here"


def test_an_incomplete_folder_is_named_with_what_it_lacks(tiny_sd, tmp_path):
    folder = tmp_path / "broken"
    shutil.copytree(tiny_sd, folder)
    (folder / "unet/diffusion_pytorch_model.safetensors").unlink()
    settings = BaseSettings(source=str(folder))
    assert not is_present(settings)
    with pytest.raises(InputError, match="unet/diffusion_pytorch_model.safetensors is missing"):
        load_base(settings)


def test_no_network_and_no_cache(tmp_path, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    settings = BaseSettings(name="sd21", source="nobody/no-such-model", size_gb=5.2)
    assert not is_present(settings)
    with pytest.raises(InputError, match=r"nobody/no-such-model, 5.2 GB.*--base starter"):
        load_base(settings)


@pytest.mark.parametrize("source", ["no/such/folder", "nothing", "./x"])
def test_no_such_source(source):
    with pytest.raises(InputError, match="No base model at"):
        load_base(BaseSettings(source=source))


def test_a_vae_of_another_kind_is_refused(tiny_sd, tmp_path):
    folder = tmp_path / "vae"
    shutil.copytree(tiny_sd, folder)
    config = folder / "vae/config.json"
    config.write_text(config.read_text().replace("AutoencoderKL", "VQModel"))
    with pytest.raises(InputError, match="VQModel"):
        load_base(BaseSettings(source=str(folder)))


def test_attention_and_device_that_are_not_there(tiny_settings):
    with pytest.raises(InputError, match="Unknown attention"):
        load_base(tiny_settings, attention="flash")
    if importlib.util.find_spec("xformers") is None:
        with pytest.raises(InputError, match="xformers is not installed"):
            load_base(tiny_settings, attention="xformers")
    if not torch.cuda.is_available():
        with pytest.raises(InputError, match="cuda"):
            load_base(tiny_settings, device="cuda")


def test_auto_precision_asks_the_processor(monkeypatch):
    for features, expected in (
        ({"avx512_bf16": True}, "bf16"), ({"amx_bf16": True}, "bf16"),
        ({"avx512_bf16": False, "avx2": True}, "no"), ({}, "no"),
    ):
        monkeypatch.setattr(torch.cpu, "get_capabilities", lambda f=features: f, raising=False)
        assert resolve_precision("auto", "cpu") == expected
        assert resolve_precision("no", "cpu") == "no"
        assert resolve_precision("fp16", torch.device("cpu")) == "fp16"
    monkeypatch.delattr(torch.cpu, "get_capabilities")  # as in older versions of torch
    assert resolve_precision("auto", "cpu") == "no"
    assert resolve_precision("auto", "mps") == "no"


def test_memory_respects_a_containers_limit(tmp_path, monkeypatch):
    assert free_memory(pick_device()) > 0
    (tmp_path / "memory.max").write_text("1000000\n")
    (tmp_path / "memory.current").write_text("400000\n")
    monkeypatch.setattr("smalti.models.device.CGROUP", tmp_path)
    assert free_memory("cpu") == 600000
    (tmp_path / "memory.max").write_text("max\n")
    assert free_memory("cpu") > 600000
