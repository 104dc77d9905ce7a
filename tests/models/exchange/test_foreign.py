"""LoRA of other trainers: every style of names, alphas and ranks, and what is refused by name."""

import json

import pytest
import torch
from diffusers import UNet2DConditionModel
from exchanging import kohya_text, kohya_unet, predicted, write_lora
from refusals import refused
from safetensors.torch import load_file
from transformers import CLIPTextConfig, CLIPTextModel

from smalti.models.bases.sd import StableDiffusion
from smalti.models.edlora import detach, load_adapter, set_active
from smalti.models.exchange.foreign import attach_file, layers_by_part
from smalti.models.exchange.lora import LoraLayer, read_lora
from smalti.models.merging import merged

PROMPT = "a girl on a hill"


@pytest.mark.slow
def test_what_is_exported_comes_back_exactly(exported, files, base):
    path, _ = exported("edlora", "kohya")
    bare = predicted(base, PROMPT)
    own = load_adapter(base, files["edlora"])
    ours = predicted(base, PROMPT, [own])
    detach(base, own)
    theirs = attach_file(base, path, "any name")
    assert torch.equal(predicted(base, PROMPT, [theirs]), ours)
    assert theirs.trigger == "" and not any(p.requires_grad for p in base.unet.parameters())
    detach(base, theirs)
    assert torch.equal(predicted(base, PROMPT), bare)


def test_a_missing_alpha_is_the_rank(exported, tmp_path):
    path, _ = exported("edlora", "kohya")
    bare = {k: v for k, v in load_file(path).items() if not k.endswith(".alpha")}
    layers = read_lora(write_lora(tmp_path / "bare.safetensors", bare))
    assert {layer.alpha for layer in layers.values()} == {4.0}
    assert {layer.alpha for layer in read_lora(path).values()} == {8.0}


def matrices(rank: int, inside: int, outside: int, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return (torch.randn(rank, inside, generator=generator),
            torch.randn(outside, rank, generator=generator))  # fmt: skip


PLACES = {
    "down_blocks.0.attentions.0.transformer_blocks.0.attn1.to_q": (2, 8, 8, 1.0),
    "mid_block.attentions.0.transformer_blocks.0.attn2.to_out.0": (5, 16, 16, 10.0),
}
"""Rank, width in and out, and alpha of two layers of the tiny UNet."""
TEXT = "encoder.layers.1.self_attn.v_proj"


def kohya(path: str, part: str = "lora_unet_") -> str:
    return part + path.replace(".", "_")


def processor(path: str) -> str:
    """What diffusers called a layer's LoRA when it stood in attention processors."""
    before, layer = path.rsplit(".", 2 if path.endswith(".0") else 1)[:2]
    return f"unet.{before}.processor.{layer}_lora"


PREFIXED = "base_model.model."
STYLES = {
    "kohya": (kohya, "lora_down", "lora_up"),
    "diffusers": ("unet.{}".format, "lora.down", "lora.up"),
    "processors": (processor, "down", "up"),
    "peft": ((PREFIXED + "{}").format, "lora_A", "lora_B"),
}
TEXTS = {
    "kohya": (kohya(TEXT, "lora_te_text_model_"), "lora_down", "lora_up"),
    "diffusers": (f"text_encoder.text_model.{TEXT}.lora_linear_layer", "down", "up"),
    "processors": ("text_encoder.text_model.encoder.layers.1.self_attn.to_v_lora", "down", "up"),
    "peft": (f"{PREFIXED}text_model.{TEXT}", "lora_A", "lora_B"),
}


def mixed(style: str) -> dict[str, torch.Tensor]:
    """One LoRA of two ranks and the text encoder, as trainers have written it over the years."""
    stem, *ends = STYLES[style]
    tensors = {}
    for seed, (path, (rank, inside, outside, alpha)) in enumerate(PLACES.items()):
        for end, value in zip(ends, matrices(rank, inside, outside, seed), strict=True):
            tensors[f"{stem(path)}.{end}.weight"] = value
        tensors[f"{stem(path)}.alpha"] = torch.tensor(alpha)
    stem, *ends = TEXTS[style]
    values = matrices(3, 32, 32, 9)
    return tensors | {f"{stem}.{end}.weight": v for end, v in zip(ends, values, strict=True)}


def by_hand(base) -> torch.Tensor:
    """What the base predicts with that LoRA added to its weights, by the formula."""
    changed = []
    for seed, (path, (rank, inside, outside, alpha)) in enumerate(PLACES.items()):
        down, up = matrices(rank, inside, outside, seed)
        changed.append((base.unet.get_submodule(path).weight, alpha / rank * up @ down))
    down, up = matrices(3, 32, 32, 9)
    changed.append((base.text_encoder.get_submodule(TEXT).weight, up @ down))
    before = [weight.data.clone() for weight, _ in changed]
    for weight, change in changed:
        weight.data += change
    found = predicted(base, PROMPT)
    for (weight, _), old in zip(changed, before, strict=True):
        weight.data = old
    return found


@pytest.fixture(scope="module")
def wanted(tiny_sd):
    """The prediction by hand, on a base that nothing was ever attached to."""
    from smalti.configs.base import BaseSettings
    from smalti.models.bases import load_base

    return by_hand(
        load_base(BaseSettings(name="tiny", source=str(tiny_sd), resolution=64), device="cpu")
    )


@pytest.mark.parametrize("style", ["kohya", "diffusers", "processors", "peft"])
def test_every_style_of_names_and_mixed_ranks(base, tmp_path, wanted, style):
    path = write_lora(tmp_path / f"{style}.safetensors", mixed(style))
    adapter = attach_file(base, path, style)
    assert adapter.rank == 5
    torch.testing.assert_close(predicted(base, PROMPT, [adapter]), wanted, rtol=1e-4, atol=1e-5)


def test_half_precision_and_another_adapter_beside(base, files, tmp_path, wanted):
    """An adapter of all layers is there too; merging meets layers that lack the active one."""
    load_adapter(base, files["lora"])
    tensors = {key: value.half() for key, value in mixed("kohya").items()}
    adapter = attach_file(base, write_lora(tmp_path / "half.safetensors", tensors), "half")
    beside = predicted(base, PROMPT, [adapter])
    torch.testing.assert_close(beside, wanted, rtol=1e-2, atol=1e-2)
    with merged(base):
        torch.testing.assert_close(predicted(base, PROMPT, [adapter]), beside, rtol=1e-4, atol=1e-5)
    set_active(base, [adapter.name], 0)


@pytest.mark.parametrize("part", ["lora_unet_", "lora_te_"])
def test_a_lora_of_one_network_alone(base, tmp_path, part):
    bare = predicted(base, PROMPT)
    tensors = {key: value for key, value in mixed("kohya").items() if key.startswith(part)}
    adapter = attach_file(base, write_lora(tmp_path / "one.safetensors", tensors), "one")
    assert not torch.allclose(predicted(base, PROMPT, [adapter]), bare, atol=1e-3)
    detach(base, adapter)
    assert torch.equal(predicted(base, PROMPT), bare)


def test_rank_stabilised_alpha_comes_from_pefts_settings(tmp_path):
    down, up = matrices(4, 8, 8, 0)
    stem = "unet.down_blocks.0.attentions.0.transformer_blocks.0.attn1.to_q"
    tensors = {f"{stem}.lora_A.weight": down, f"{stem}.lora_B.weight": up}
    settings = {"unet.r": 4, "unet.lora_alpha": 6, "unet.use_rslora": True}
    path = write_lora(
        tmp_path / "rs.safetensors", tensors, lora_adapter_metadata=json.dumps(settings)
    )
    (layer,) = read_lora(path).values()
    assert layer.alpha / layer.rank == pytest.approx(6 / 4**0.5)


@pytest.mark.parametrize(
    ("key", "kind"),
    [
        ("lora_unet_mid_block_attentions_0_proj_in.dora_scale", "DoRA"),
        ("unet.x.to_q.lora_magnitude_vector", "DoRA"),
        ("lora_unet_x.hada_w1_a", "LoHa"),
        ("lora_unet_x.lokr_w1", "LoKr"),
        ("lora_unet_x.lora_mid.weight", "LoCon"),
        ("lora_unet_x.oft_blocks", "OFT"),
        ("lora_unet_x.on_input", "IA3"),
        ("lora_unet_x.diff", "LyCORIS"),
        ("bundle_emb.x.string_to_param.*", "embedding"),
        ("emb_params", "embedding"),
        ("IN01", "XTI"),
        ("model.diffusion_model.input_blocks.0.0.weight", "model"),
    ],
)
def test_other_kinds_are_refused_by_name(base, tmp_path, key, kind):
    path = write_lora(tmp_path / "other.safetensors", {key: torch.zeros(2, 2)})
    with refused(kind, str(path)):
        attach_file(base, path, "other")
    assert not base.adapters


def test_damaged_files_are_refused(base, tmp_path):
    down, up = matrices(2, 8, 8, 0)
    stem = kohya(next(iter(PLACES)))
    for tensors, detail in (
        ({f"{stem}.lora_down.weight": down}, stem),
        ({f"{stem}.lora_down.weight": down, f"{stem}.lora_up.weight": up[:, :1]}, "[8, 1]"),
        ({f"{stem}.lora_down.weight": down * torch.nan, f"{stem}.lora_up.weight": up}, stem),
        ({"weight": down}, "weight"),
    ):
        path = write_lora(tmp_path / "odd.safetensors", tensors)
        with refused(str(path), detail):
            attach_file(base, path, "odd")
    path.write_bytes(path.read_bytes()[:-3])
    with refused(str(path)):
        attach_file(base, path, "odd")


def test_another_bases_lora_is_refused_with_what_it_was_made_for(base, tmp_path):
    stem = "lora_unet_mid_block_attentions_0_transformer_blocks_0_attn2_to_k"
    down, up = matrices(4, 768, 1280, 0)
    wide = {f"{stem}.lora_down.weight": down, f"{stem}.lora_up.weight": up}
    path = tmp_path / "wide.safetensors"
    with refused("Stable Diffusion 1.x", "'tiny'"):
        attach_file(base, write_lora(path, wide), "wide")
    with refused("stable-diffusion-v1/lora"):
        attach_file(
            base,
            write_lora(path, wide, **{"modelspec.architecture": "stable-diffusion-v1/lora"}),
            "x",
        )
    sdxl = {key.replace("lora_unet_mid_block", "lora_te2_text_model"): v for key, v in wide.items()}
    with refused("SDXL"):
        attach_file(base, write_lora(path, sdxl), "x")
    assert not base.adapters


WIDTHS = {
    "down_blocks_0": 320, "down_blocks_1": 640, "down_blocks_2": 1280, "mid_block": 1280,
    "up_blocks_1": 1280, "up_blocks_2": 640, "up_blocks_3": 320,
}  # fmt: skip


def unet_layer(name: str) -> LoraLayer:
    """A layer of the shapes that SD 1.x has there; projections are 1 x 1 convolutions."""
    width = next(value for block, value in WIDTHS.items() if f"lora_unet_{block}" in name)
    inside = 768 if name.endswith(("attn2_to_k", "attn2_to_v")) else width
    inside = 4 * width if name.endswith("ff_net_2") else inside
    outside = 8 * width if name.endswith("ff_net_0_proj") else width
    spatial = (1, 1) if name.endswith(("proj_in", "proj_out")) else ()
    return LoraLayer(torch.empty(4, inside, *spatial), torch.empty(outside, 4, *spatial), 4.0)


def text_layer(name: str) -> LoraLayer:
    """A layer of the shapes that CLIP ViT-L has there."""
    inside = 3072 if name.endswith("fc2") else 768
    outside = 3072 if name.endswith("fc1") else 768
    return LoraLayer(torch.empty(4, inside), torch.empty(outside, 4), 4.0)


def test_a_kohya_lora_of_stable_diffusion_1_maps_without_a_left_over_key(tmp_path):
    """264 modules: what sd-scripts trains by default on SD 1.x, with their shapes."""
    config = CLIPTextConfig(hidden_size=768, intermediate_size=3072, num_hidden_layers=12,
                            num_attention_heads=12)  # fmt: skip
    meta = torch.device("meta")
    with meta:
        unet = UNet2DConditionModel(cross_attention_dim=768, attention_head_dim=8, sample_size=64)
        text = CLIPTextModel(config)
    sd15 = StableDiffusion(None, tmp_path, None, {}, meta, torch.float32, unet, text)
    lora = {name: unet_layer(name) for name in kohya_unet(whole=True)}
    lora |= {name: text_layer(name) for name in kohya_text(12, whole=True)}
    assert len(lora) == 264
    found = layers_by_part(sd15, tmp_path / "public.safetensors", lora)
    counts = {part: len(layers) for part, layers in found.items()}
    assert counts == {"unet": 192, "text_encoder": 72}
