"""The adapter file: roundtrip, layout, stock diffusers, and files that cannot be used."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from diffusers import StableDiffusionPipeline
from refusals import refused
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from tiny import LAYERS, make_tiny_sd

from smalti.configs.base import BaseSettings
from smalti.configs.errors import SmaltiError
from smalti.configs.train import TrainSettings
from smalti.models.attention import fold
from smalti.models.bases import load_base
from smalti.models.conditioning import encode_prompts
from smalti.models.edlora import (
    adapter_state,
    attach_new,
    detach,
    load_adapter,
    read_metadata,
    save_adapter,
)

# --- saving and loading -----------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("settings", [{"lora_alpha": 8, "rank": 4}, {"method": "lora"}])
def test_roundtrip_gives_the_same_output(base, trained, tiny_settings, tmp_path, settings, predict):
    adapter = trained(**settings)
    path = tmp_path / "edlora.safetensors"
    save_adapter(base, adapter, path, {"steps": 12})
    fresh = load_base(tiny_settings, device="cpu")
    loaded = load_adapter(fresh, path)
    prompt = f"a photo of a {adapter.trigger}"
    torch.testing.assert_close(predict(fresh, prompt, [loaded]), predict(base, prompt, [adapter]))
    assert (loaded.trigger, loaded.class_word) == ("<sylvie-1> <sylvie-2>", "girl")
    assert (loaded.rank, loaded.alpha, loaded.method) == (
        adapter.rank,
        adapter.alpha,
        adapter.method,
    )
    assert not any(p.requires_grad for p in fresh.unet.parameters())
    assert not any(p.requires_grad for p in fresh.text_encoder.parameters())
    again = adapter_state(fresh, loaded)
    assert all(
        torch.equal(again[key], value) for key, value in adapter_state(base, adapter).items()
    )


def test_file_layout_and_header(base, trained, tmp_path):
    adapter = trained(lora_alpha=8)
    path = tmp_path / "concepts" / "sylvie" / "edlora.safetensors"
    save_adapter(base, adapter, path, {"steps": 12})
    with safe_open(path, framework="pt") as file:
        keys, header = set(file.keys()), file.metadata()
        assert file.get_slice("edlora.<sylvie-1>.layers").get_shape() == [LAYERS, 32]
    lora = {key for key in keys if not key.startswith("edlora.")}
    assert keys - lora == {"edlora.<sylvie-1>.layers", "edlora.<sylvie-2>.layers"}
    stem = "down_blocks.0.attentions.0.transformer_blocks.0.attn2.to_out.0"
    assert f"unet.{stem}.lora_A.weight" in lora
    assert "text_encoder.text_model.encoder.layers.1.self_attn.out_proj.lora_B.weight" in lora
    assert len(lora) == 2 * (8 * LAYERS + 8)
    peft = json.loads(header["lora_adapter_metadata"])
    assert (peft["unet.r"], peft["unet.lora_alpha"], peft["text_encoder.lora_alpha"]) == (4, 8, 8)
    metadata = read_metadata(path)
    assert metadata["base"]["fingerprint"] == base.fingerprint
    assert metadata["tokens"] == ["<sylvie-1>", "<sylvie-2>"]
    assert (metadata["format"], metadata["steps"], metadata["training"]["rank"]) == (1, 12, 4)
    assert [name.name for name in path.parent.iterdir()] == [path.name]  # nothing temporary


@pytest.mark.slow
def test_stock_diffusers_loads_the_file_and_gives_our_output(base, trained, tiny_sd, tmp_path):
    """LoRA by `load_lora_weights`; the words arrive as folded prompt embeddings."""
    adapter = trained(lora_alpha=8, rank=4)
    save_adapter(base, adapter, tmp_path / "edlora.safetensors")
    pipeline = StableDiffusionPipeline.from_pretrained(tiny_sd, safety_checker=None)
    pipeline.set_progress_bar_config(disable=True)
    pipeline.load_lora_weights(tmp_path, weight_name="edlora.safetensors")
    with torch.no_grad():
        ours = encode_prompts(base, ["a girl on a hill"], [adapter])[:, 0]
        theirs = pipeline.encode_prompt("a girl on a hill", "cpu", 1, False)[0]
    torch.testing.assert_close(theirs, ours)  # the text encoder's LoRA

    from smalti.models.attention import install_layerwise_attention

    install_layerwise_attention(pipeline.unet)
    with torch.no_grad():
        text = encode_prompts(base, [f"a {adapter.trigger}", ""], [adapter])
    latents = torch.randn(1, 4, 8, 8, generator=torch.Generator().manual_seed(4))
    stock = pipeline(
        prompt_embeds=fold(text[:1]),
        negative_prompt_embeds=fold(text[1:]),
        latents=latents,
        num_inference_steps=2,
        guidance_scale=3.0,
        output_type="latent",
    ).images
    scheduler = base.scheduler("ddim")
    scheduler.set_timesteps(2)
    for timestep in scheduler.timesteps:
        with torch.no_grad():
            one, none = base.unet(latents.repeat(2, 1, 1, 1), timestep, text).sample.split(1)
        latents = scheduler.step(none + 3.0 * (one - none), timestep, latents).prev_sample
    torch.testing.assert_close(stock, latents, rtol=1e-4, atol=1e-4)


# --- files that cannot be used ----------------------------------------------------------------


@pytest.fixture(scope="module")
def finished(tiny_base, tmp_path_factory) -> bytes:
    """The content of an adapter's file."""
    path = tmp_path_factory.mktemp("finished") / "edlora.safetensors"
    adapter = attach_new(tiny_base, "sylvie", "girl", TrainSettings())
    save_adapter(tiny_base, adapter, path)
    detach(tiny_base, adapter)
    return path.read_bytes()


@pytest.fixture
def saved(finished, tmp_path) -> Path:
    """An adapter's file that a test may damage."""
    path = tmp_path / "edlora.safetensors"
    path.write_bytes(finished)
    return path


@pytest.mark.slow
def test_adapter_of_another_base(saved, base, tmp_path):
    folder = make_tiny_sd(tmp_path / "other", seed=1)
    other = load_base(BaseSettings(name="other", source=str(folder), resolution=64))
    with refused("'tiny'", "'other'", "--base tiny"):
        load_adapter(other, saved)
    renamed = load_base(BaseSettings(name="tiny", source=str(folder), resolution=64))
    with refused("'tiny'", base.fingerprint, renamed.fingerprint):
        load_adapter(renamed, saved)
    assert not other.adapters and not renamed.adapters


@pytest.mark.parametrize("keep", [0, 5, 100, 20_000, -1])
def test_truncated_file(saved, base, keep):
    saved.write_bytes(saved.read_bytes()[:keep])
    for read in (read_metadata, lambda path: load_adapter(base, path)):
        with refused("edlora.safetensors", "mosaic-train"):
            read(saved)
    assert not base.adapters


def test_garbage_foreign_missing_and_newer_files(saved, base, tmp_path):
    garbage, foreign = tmp_path / "garbage", tmp_path / "foreign"
    garbage.write_bytes(os.urandom(4096))
    save_file({"weight": torch.zeros(2)}, foreign)
    tensors = load_file(saved)
    newer = tmp_path / "newer"
    save_file(tensors, newer, metadata={"edlora": json.dumps({"format": 99})})
    bare = tmp_path / "bare"
    save_file(tensors, bare, metadata={"edlora": json.dumps({"format": 1})})
    for path, detail in (
        (garbage, ""),
        (foreign, "edlora"),
        (tmp_path / "none", ""),
        (tmp_path, ""),
        (newer, "format 99"),
        (bare, "'tokens'"),
    ):
        with refused(str(path), detail):
            load_adapter(base, path)


def test_missing_and_misshapen_tensors(saved, base):
    with safe_open(saved, framework="pt") as file:
        header = file.metadata()
    whole = load_file(saved)
    for change, key in (
        (lambda t: t.pop("edlora.<sylvie-2>.layers"), "<sylvie-2>"),
        (lambda t: t.update({"edlora.<sylvie-1>.layers": torch.zeros(3, 32)}), "[3, 32]"),
    ):
        tensors = dict(whole)
        change(tensors)
        save_file(tensors, saved, metadata=header)
        with refused(str(saved), key):
            load_adapter(base, saved)
        assert not base.adapters


def test_unwritable_target_keeps_what_was_there(base, trained, tmp_path, monkeypatch):
    adapter, path = trained(), tmp_path / "edlora.safetensors"
    path.write_bytes(b"older")

    def full(self, data):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with refused(str(path), kind=SmaltiError):
        save_adapter(base, adapter, path)
    assert path.read_bytes() == b"older" and len(list(tmp_path.iterdir())) == 1


def test_reading_the_header_needs_no_torch(saved):
    code = (
        "import sys; from smalti.models.adapter_file import read_metadata; "
        f"print(read_metadata({str(saved)!r})['trigger'], 'torch' in sys.modules)"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert run.stdout.strip() == "<sylvie-1> <sylvie-2> False"


def test_the_same_adapter_gives_the_same_bytes(base, trained, tmp_path):
    """The safetensors library shuffles its metadata; mosaics record the hash of the file."""
    adapter = trained()
    for name in ("a", "b", "c", "d"):
        save_adapter(base, adapter, tmp_path / name)
    assert len({(tmp_path / name).read_bytes() for name in "abcd"}) == 1
