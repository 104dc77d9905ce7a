"""A distilled LoRA is part of the UNet's weights from loading on, in either family."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from peft import LoraConfig
from refusals import refused
from safetensors.torch import load_file, save_file
from tiny_xl import make_tiny_sdxl

from smalti.configs.base import BaseSettings
from smalti.configs.train import TrainSettings
from smalti.models.base import base_fingerprint
from smalti.models.bases import load_base
from smalti.models.edlora import attach_new, detach, load_adapter, save_adapter
from smalti.models.locate import is_present

RANK, ALPHA, SCALE = 2, 6.0, 0.5
TARGETS = ["to_k", "to_q", "conv1", "ff.net.2"]


@pytest.fixture(scope="module", params=["sd", "sdxl"])
def settings(request, tiny_settings, tmp_path_factory) -> BaseSettings:
    """A tiny base of each family."""
    if request.param == "sd":
        return tiny_settings
    folder = make_tiny_sdxl(tmp_path_factory.mktemp("xl") / "m")
    return BaseSettings(name="xl", source=str(folder), resolution=64)


@pytest.fixture(scope="module")
def plain(settings):
    return load_base(settings, device="cpu")


def lora_of(unet, seed: int = 0) -> dict[str, torch.Tensor]:
    """A random LoRA of some of the UNet's layers, under diffusers' names with peft's ending."""
    from peft.utils import get_peft_model_state_dict

    unet.add_adapter(LoraConfig(r=RANK, lora_alpha=ALPHA, target_modules=TARGETS), "made")
    state = get_peft_model_state_dict(unet, adapter_name="made")
    generator = torch.Generator().manual_seed(seed)
    made = {k: 0.1 * torch.randn(v.shape, generator=generator) for k, v in state.items()}
    unet.unload_lora()
    return made


def kohya(lora: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """The same LoRA as the published ones are stored: kohya's names, alpha beside each layer."""
    ends = {".lora_A.weight": ".lora_down.weight", ".lora_B.weight": ".lora_up.weight"}
    found = {}
    for key, value in lora.items():
        end = next(end for end in ends if key.endswith(end))
        stem = "lora_unet_" + key.removesuffix(end).replace(".", "_")
        found[stem + ends[end]] = value.contiguous()
        found[f"{stem}.alpha"] = torch.tensor(ALPHA)
    return found


def test_its_deltas_are_added_to_the_weights_and_told_by_the_fingerprint(settings, plain, tmp_path):
    """W + scale * alpha / rank * B A, layer by layer; nothing of peft stays behind."""
    lora = lora_of(load_base(settings, device="cpu").unet)
    path = tmp_path / "pytorch_lora_weights.safetensors"
    save_file(kohya(lora), path)
    few = replace(settings, distilled_lora=str(tmp_path), distilled_lora_scale=SCALE)
    fused = load_base(few, device="cpu")
    before, after = plain.unet.state_dict(), fused.unet.state_dict()
    assert before.keys() == after.keys()
    stems = {key.rsplit(".lora_", 1)[0] for key in lora}
    for key, value in before.items():
        stem = key.removesuffix(".weight")
        if stem in stems:
            up, down = (lora[f"{stem}.lora_{part}.weight"] for part in "BA")
            delta = torch.einsum("or...,ri...->oi...", up.double(), down.double())
            value = (value + SCALE * ALPHA / RANK * delta).float()
        torch.testing.assert_close(after[key], value, rtol=1e-4, atol=1e-6, msg=key)
    assert fused.own_fingerprint == plain.fingerprint != fused.fingerprint
    weaker = replace(few, distilled_lora_scale=0.4)
    assert base_fingerprint(weaker, plain.folder) not in (fused.fingerprint, plain.fingerprint)
    assert fused.scheduler("ddim").config.timestep_spacing == "trailing"


def test_an_adapter_of_the_plain_base_serves_it_too_but_not_the_other_way(
    settings, plain, tmp_path
):
    lora = lora_of(load_base(settings, device="cpu").unet)
    path = tmp_path / "few.safetensors"
    save_file(kohya(lora), path)
    fused = load_base(replace(settings, distilled_lora=str(path)), device="cpu")
    for maker in (plain, fused):
        adapter = attach_new(maker, "pim", "cat", TrainSettings())
        save_adapter(maker, adapter, tmp_path / f"{id(maker)}.safetensors")
        detach(maker, adapter)
    detach(fused, load_adapter(fused, tmp_path / f"{id(plain)}.safetensors"))
    with refused(fused.fingerprint):
        load_adapter(plain, tmp_path / f"{id(fused)}.safetensors")


def test_what_is_no_lora_of_this_unet_is_refused(settings, plain, tmp_path):
    lora = kohya(lora_of(load_base(settings, device="cpu").unet))
    wider = {k: torch.cat([v, v]) if v.ndim else v for k, v in lora.items()}
    text = {"lora_te_text_model_encoder_layers_0_mlp_fc1.lora_down.weight": torch.zeros(2, 32)}
    for name, state in (("wider", wider), ("text", {**lora, **text}), ("none", {"a": text})):
        path = tmp_path / f"{name}.safetensors"
        save_file(text if name == "none" else state, path)
        with refused("base.distilled_lora", str(path)):
            load_base(replace(settings, distilled_lora=str(path)), device="cpu")


def test_one_that_cannot_be_had_is_named_and_means_that_the_base_is_not_here(
    settings, monkeypatch, tmp_path: Path
):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    assert is_present(settings)
    for source in ("owner/model/8steps.safetensors", "owner/model", "nowhere", "a/b/../c"):
        missing = replace(settings, distilled_lora=source)
        assert not is_present(missing)
        with refused("base.distilled_lora", source.split("/")[0]):
            load_base(missing, device="cpu")


def test_another_autoencoder_takes_the_place_of_the_bases_own(settings, plain, tmp_path):
    plain.vae.save_pretrained(tmp_path / "vae")
    path = tmp_path / "vae/diffusion_pytorch_model.safetensors"
    weights = load_file(path)
    save_file({key: value + 0.1 for key, value in weights.items()}, path)
    other = load_base(replace(settings, vae=str(tmp_path / "vae")), device="cpu")
    assert torch.equal(other.vae.decoder.conv_in.bias, plain.vae.decoder.conv_in.bias + 0.1)
    assert other.vae_fingerprint != plain.vae_fingerprint
    assert other.fingerprint != plain.fingerprint == other.own_fingerprint
