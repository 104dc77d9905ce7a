"""Files of SDXL's family, in and out: names against literals and diffusers' own reader."""

import pytest
import torch
from diffusers import StableDiffusionXLPipeline
from diffusers.utils import convert_state_dict_to_peft, convert_unet_state_dict_to_peft
from exchanging import write_trained
from safetensors.torch import load_file, save_file

from smalti.models.bases import load_base
from smalti.models.edlora import detach, load_adapter
from smalti.models.exchange.export import export
from smalti.models.exchange.foreign import attach_file
from smalti.models.exchange.metadata import BaseFacts
from smalti.models.exchange.names import FAMILIES, kohya_name, split_name
from smalti.models.exchange.own import read_own

FACTS = BaseFacts("sdxl", "stabilityai/stable-diffusion-xl-base-1.0", 1024, 2048, False)


@pytest.fixture(scope="module")
def base(xl_settings):
    """A base of these tests' own: peft leaves its wrappers on every layer that it was given."""
    return load_base(xl_settings, device="cpu")


@pytest.fixture(scope="module")
def files(base, tmp_path_factory):
    """An adapter of every layer, and what is exported of it by format."""
    folder = tmp_path_factory.mktemp("xl-exchange")
    path = folder / "own.safetensors"
    write_trained(base, path, rank=2, lora_alpha=3, targets="all")
    found = {"own": path}
    for to in ("kohya", "embedding"):
        found[to] = folder / f"{to}.safetensors"
        export(read_own(path), to, FACTS, found[to])
    return found


def test_diffusers_reads_every_layer_under_its_own_name(base, files):
    """What its reader makes of our file are our adapter's matrices; kohya has no first and last."""
    own = {k: v for k, v in load_file(files["own"]).items() if not k.startswith("edlora.")}
    state, alphas = StableDiffusionXLPipeline.lora_state_dict(
        load_file(files["kohya"]), unet_config=base.unet.config
    )
    unet = {key: value for key, value in state.items() if key.startswith("unet.")}
    text = {key: value for key, value in state.items() if key not in unet}
    read = convert_unet_state_dict_to_peft(unet) | convert_state_dict_to_peft(text)
    missing = {key.split(".lora_")[0] for key in own.keys() - read.keys()}
    assert missing == {"unet.conv_in", "unet.conv_out"} and not read.keys() - own.keys()
    assert all(torch.equal(own[key], value) for key, value in read.items())
    assert set(alphas.values()) == {3.0} and len(alphas) == len(read) // 2 > 150


@pytest.mark.parametrize(
    ("layer", "name"),
    [
        ("unet.down_blocks.1.attentions.0.transformer_blocks.1.attn1.to_out.0",
         "lora_unet_input_blocks_4_1_transformer_blocks_1_attn1_to_out_0"),
        ("unet.mid_block.attentions.0.proj_in", "lora_unet_middle_block_1_proj_in"),
        ("unet.up_blocks.1.attentions.2.proj_out", "lora_unet_output_blocks_5_1_proj_out"),
        ("text_encoder.text_model.encoder.layers.11.mlp.fc1",
         "lora_te1_text_model_encoder_layers_11_mlp_fc1"),
        ("text_encoder_2.text_model.encoder.layers.31.self_attn.q_proj",
         "lora_te2_text_model_encoder_layers_31_self_attn_q_proj"),
    ],
)  # fmt: skip
def test_published_names(layer, name):
    """As ComfyUI counts blocks: IN4 the first with attention, OUT5 the last."""
    assert kohya_name(*split_name(layer, FAMILIES["sdxl"])) == name


@torch.no_grad()
@pytest.mark.parametrize("original", [True, False])
def test_others_files_come_in_under_either_kind_of_names(base, files, tmp_path, original):
    """Kohya's, and those of trainers that write diffusers' paths with underscores."""
    path = files["kohya"]
    if not original:
        own, path = read_own(files["own"]), tmp_path / "flat.safetensors"
        stems = {"unet": "lora_unet", "text_encoder": "lora_te1", "text_encoder_2": "lora_te2"}
        flat = {}
        for key, layer in own.layers.items():
            part, _, inner = key.partition(".")
            if inner in ("conv_in", "conv_out"):
                continue
            stem = f"{stems[part]}_{inner.replace('.', '_')}"
            flat |= {f"{stem}.lora_down.weight": layer.down, f"{stem}.lora_up.weight": layer.up,
                     f"{stem}.alpha": torch.tensor(layer.alpha)}  # fmt: skip
        save_file(flat, path)
    foreign = attach_file(base, path, "theirs")
    z = torch.ones(1, 4, 8, 8)
    found = base.network(z, 500, base.encode_text(["a girl"], [foreign]))
    detach(base, foreign)
    plain = base.network(z, 500, base.encode_text(["a girl"]))
    adapter = load_adapter(base, files["own"])
    for layer in (base.unet.conv_in, base.unet.conv_out):  # which the file has no place for
        layer.set_scale(adapter.peft_name, 0)
    expected = base.network(z, 500, base.encode_text(["a girl"], [adapter]))
    detach(base, adapter)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)
    assert (plain - expected).abs().max() > 1e-3


def test_an_embedding_has_a_tensor_for_each_text_encoder(files):
    own, tensors = load_file(files["own"]), load_file(files["embedding"])
    means = torch.stack([own[f"edlora.<sylvie-{n}>.layers"].mean(dim=0) for n in (1, 2)])
    assert {key: value.shape[1] for key, value in tensors.items()} == {"clip_l": 32, "clip_g": 24}
    torch.testing.assert_close(torch.cat([tensors["clip_l"], tensors["clip_g"]], dim=1), means)


def test_its_kind_is_told(files):
    said = read_own(files["own"]).metadata["base"]
    assert (said["family"], said["widths"]) == ("sdxl", [32, 24])
    assert FACTS.architecture == "stable-diffusion-xl-v1-base" and not FACTS.is_v2
    assert FACTS.version == "sdxl_base_v1-0"
