"""The small decoder: what it decodes, and where there is none."""

import pytest
import torch
from diffusers import AutoencoderTiny
from refusals import refused
from tiny import make_vae

from smalti.configs.base import BaseSettings
from smalti.models.tiny_decoder import load_tiny_decoder

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> str:
    path = tmp_path_factory.mktemp("taesd")
    make_vae("tiny").save_pretrained(path)
    return str(path)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_it_decodes_scaled_latents_to_the_unit_range(folder, dtype):
    latents = torch.randn(2, 4, 8, 8, generator=torch.Generator().manual_seed(0))
    found = load_tiny_decoder(BaseSettings(tiny_vae=folder), CPU, dtype)(latents)
    stock = AutoencoderTiny.from_pretrained(folder, torch_dtype=dtype)
    with torch.no_grad():
        expected = (stock.decode(latents.to(dtype)).sample.float() + 1) / 2
    assert found.shape == (2, 3, 64, 64) and found.dtype == torch.float32
    torch.testing.assert_close(found, expected)


def test_gradients_flow_to_latents_and_not_to_weights(folder):
    decoder = load_tiny_decoder(BaseSettings(tiny_vae=folder), CPU, torch.float32)
    latents = torch.zeros(1, 4, 8, 8, requires_grad=True)
    decoder(latents).sum().backward()
    assert latents.grad.abs().max() > 0
    assert not any(weight.requires_grad for weight in decoder.parameters())


def test_a_base_without_one_and_one_that_is_not_there(monkeypatch, tmp_path):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    for source, name in (("", "'mine'"), ("nobody/nothing", "'nobody/nothing'")):
        settings = BaseSettings(name="mine", tiny_vae=source)
        with refused(name, "base.tiny_vae"):
            load_tiny_decoder(settings, CPU, torch.float32)
