"""A distilled LoRA is part of the UNet's weights from loading on, in either family."""

from copy import deepcopy
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from peft import LoraConfig
from published import hub_cache, snapshot
from refusals import refused
from safetensors.torch import load_file, save_file

from smalti.configs.base import BaseSettings
from smalti.configs.train import TrainSettings
from smalti.models.base import base_fingerprint
from smalti.models.bases import load_base
from smalti.models.distilled import fuse_distilled_lora
from smalti.models.edlora import attach_new, detach, load_adapter, save_adapter
from smalti.models.locate import LORA_FILE, distilled_lora, is_present

RANK, ALPHA, SCALE = 2, 6.0, 0.5
TARGETS = ["to_k", "to_q", "conv1", "ff.net.2"]


@pytest.fixture(scope="module")
def plain(tiny_base):
    return tiny_base


@pytest.fixture(scope="module")
def settings(plain) -> BaseSettings:
    return plain.settings


@pytest.fixture(scope="module")
def lora(plain) -> dict[str, torch.Tensor]:
    return lora_of(plain)


def lora_of(base) -> dict[str, torch.Tensor]:
    """A random LoRA of some of the UNet's layers, under diffusers' names with peft's ending."""
    from peft.utils import get_peft_model_state_dict

    unet = deepcopy(base.unet)
    unet.unload_lora()  # other tests' wrappers
    unet.add_adapter(LoraConfig(r=RANK, lora_alpha=ALPHA, target_modules=TARGETS), "made")
    state = get_peft_model_state_dict(unet, adapter_name="made")
    generator = torch.Generator().manual_seed(0)
    return {k: 0.1 * torch.randn(v.shape, generator=generator) for k, v in state.items()}


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


@pytest.mark.parametrize("family", ["tiny_base", "xl_base"])
def test_its_deltas_are_added_to_the_weights_and_told_by_the_fingerprint(
    request, family, tmp_path
):
    """W + scale * alpha / rank * B A, layer by layer; nothing of peft stays behind."""
    plain = request.getfixturevalue(family)
    settings, lora = plain.settings, lora_of(plain)
    path = tmp_path / "pytorch_lora_weights.safetensors"
    save_file(kohya(lora), path)
    few = replace(settings, distilled_lora=str(tmp_path), distilled_lora_scale=SCALE)
    fused = load_base(few, device="cpu")
    before, after = plain.unet.state_dict(), fused.unet.state_dict()
    before = {key.replace(".base_layer", ""): value for key, value in before.items()}
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
    known = {fused.fingerprint, plain.fingerprint}
    for other in (
        replace(few, distilled_lora_scale=0.4), replace(settings, original_size=512),
    ):  # fmt: skip
        assert base_fingerprint(other, plain.folder) not in known
    assert fused.scheduler("ddim").config.timestep_spacing == "trailing"


def test_an_adapter_of_the_plain_base_serves_it_too_but_not_the_other_way(
    settings, plain, lora, tmp_path
):
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


def test_what_is_no_lora_of_this_unet_is_refused(plain, lora, settings, tmp_path):
    made = kohya(lora)
    wider = {k: torch.cat([v, v]) if v.ndim else v for k, v in made.items()}
    stem = "lora_te_text_model_encoder_layers_0_mlp_fc1"
    text = {f"{stem}.lora_{end}.weight": torch.zeros(32, 32) for end in ("down", "up")}
    for name, state in (("wider", wider), ("both", {**made, **text}), ("text", text)):
        path = tmp_path / f"{name}.safetensors"
        save_file(state, path)
        with refused("base.distilled_lora", str(path)):
            fuse_distilled_lora(deepcopy(plain.unet), replace(settings, distilled_lora=str(path)))


def test_one_that_cannot_be_had_is_named_and_means_that_the_base_is_not_here(
    settings, plain, monkeypatch, tmp_path: Path
):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    assert is_present(settings)
    for source in ("owner/model/8steps.safetensors", "owner/model", "nowhere", "a/b/../c"):
        missing = replace(settings, distilled_lora=source)
        assert not is_present(missing)
        with refused("base.distilled_lora", source.split("/")[0]):
            fuse_distilled_lora(plain.unet, missing)


def test_it_is_found_in_the_hubs_cache(monkeypatch, tmp_path: Path):
    hub_cache(tmp_path, monkeypatch)
    folder = snapshot(tmp_path, "owner/few")
    folder.mkdir(parents=True)
    (folder / "8steps.safetensors").touch()
    named = BaseSettings(distilled_lora="owner/few/8steps.safetensors")
    assert distilled_lora(named) == folder / "8steps.safetensors"
    with refused("owner/few", LORA_FILE):
        distilled_lora(BaseSettings(distilled_lora="owner/few"))


def test_another_autoencoder_takes_the_place_of_the_bases_own(settings, plain, tmp_path):
    plain.vae.save_pretrained(tmp_path / "vae")
    path = tmp_path / "vae/diffusion_pytorch_model.safetensors"
    weights = load_file(path)
    save_file({key: value + 0.1 for key, value in weights.items()}, path)
    other = load_base(replace(settings, vae=str(tmp_path / "vae")), device="cpu")
    assert torch.equal(other.vae.decoder.conv_in.bias, plain.vae.decoder.conv_in.bias + 0.1)
    assert other.vae_fingerprint != plain.vae_fingerprint
    assert other.fingerprint != plain.fingerprint == other.own_fingerprint
