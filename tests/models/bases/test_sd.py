"""Loading Stable Diffusion's layout: precision, variants, and parts of another kind."""

import importlib.util
import shutil

import pytest
import torch
from tiny import LAYERS

from smalti.configs.base import BaseSettings
from smalti.configs.errors import InputError
from smalti.models.bases import load_base
from smalti.models.denoiser import Conditioning


@torch.no_grad()
def test_the_network_is_the_unet_in_the_models_own_precision(tiny_settings):
    base = load_base(tiny_settings, device="cpu", dtype=torch.bfloat16)
    assert base.unet.dtype == base.text_encoder.dtype == base.vae.dtype == torch.bfloat16
    wanted = base.encode_text(["a cat"])
    z = torch.randn(1, 4, 8, 8, generator=torch.Generator().manual_seed(0))
    found = base.network(z, 300, wanted)
    assert found.dtype == torch.float32, "samplers compute in what they came with"
    expected = base.unet(z.bfloat16(), 300, encoder_hidden_states=wanted.text).sample
    assert torch.equal(found, expected.float())
    assert base.encode(torch.rand(1, 3, 64, 64)).dtype == torch.float32
    assert base.decode(torch.zeros(1, 4, 8, 8)).dtype == torch.float32


@torch.no_grad()
def test_texts_one_by_one_are_taken_too(tiny_base):
    wanted, z = tiny_base.encode_text(["a cat"]), torch.ones(1, 4, 8, 8)
    apart = Conditioning(wanted.text.unbind(1))
    assert torch.equal(tiny_base.network(z, 300, apart), tiny_base.network(z, 300, wanted))


def test_channels_last_change_no_prediction(tiny_settings):
    """Drawing rests on it; convolutions may sum in another order."""
    plain, fast = (load_base(tiny_settings, device="cpu", gradients=False) for _ in range(2))
    fast.prepare_drawing(compile=False)
    with torch.no_grad():
        z, wanted = torch.ones(2, 4, 8, 8), plain.encode_text(["a cat", "a dog"])
        expected, found = (base.network(z, 300, wanted) for base in (plain, fast))
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-4)


def test_a_variant_file_is_found_without_being_named(tiny_sd, tmp_path):
    folder = tmp_path / "variant"
    shutil.copytree(tiny_sd, folder)
    for path in folder.rglob("*.safetensors"):
        path.rename(path.with_suffix(".fp16.safetensors"))
    assert load_base(BaseSettings(name="v", source=str(folder), resolution=64)).layers == LAYERS


def test_a_vae_of_another_kind_is_refused(tiny_sd, tmp_path):
    folder = tmp_path / "vae"
    shutil.copytree(tiny_sd, folder)
    config = folder / "vae/config.json"
    config.write_text(config.read_text().replace("AutoencoderKL", "VQModel"))
    with pytest.raises(InputError) as caught:
        load_base(BaseSettings(source=str(folder)))
    assert "VQModel" in str(caught.value)


def test_attention_that_is_not_there_is_refused(tiny_settings):
    absent = {"flash"} | ({"xformers"} if importlib.util.find_spec("xformers") is None else set())
    for attention in absent:
        with pytest.raises(InputError) as caught:
            load_base(tiny_settings, attention=attention)
        assert attention in str(caught.value) and "sdpa" in str(caught.value)
