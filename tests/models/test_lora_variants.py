"""Variants of LoRA against their formulas: DoRA, rsLoRA, PiSSA."""

import pytest
import torch
from peft import LoraConfig
from peft.tuners.lora import Linear
from safetensors.torch import load_file

from smalti.configs.train import TrainSettings
from smalti.models.adapter_file import read_metadata
from smalti.models.edlora import (
    adapter_state,
    attach_new,
    detach,
    load_adapter,
    load_adapter_state,
    save_adapter,
    set_active,
)
from smalti.models.lora_layers import lora_layers, lora_parameters
from smalti.models.merging import merged

LAYER = "unet.mid_block.attentions.0.transformer_blocks.0.attn2.to_v"


@pytest.fixture
def attached(tiny_base):
    """Attach a variant with random B; everything is detached in the end."""

    def attach(variant: str, **settings):
        train = TrainSettings(lora_variant=variant, **settings)
        adapter = attach_new(tiny_base, "sylvie", "girl", train)
        with torch.no_grad():
            for key, value in lora_parameters(tiny_base, adapter):
                if not key.endswith("magnitude_vector"):
                    value += 0.05 * torch.randn(value.shape, generator=generator)
        return adapter

    generator = torch.Generator().manual_seed(0)
    yield attach
    for adapter in list(tiny_base.adapters.values()):
        detach(tiny_base, adapter)


def parts(base, adapter):
    """Base weight, A and B of one layer."""
    layer = dict(lora_layers(base))[LAYER]
    found = dict(lora_parameters(base, adapter))
    return layer, found[f"{LAYER}.lora_A.weight"], found[f"{LAYER}.lora_B.weight"]


def output(layer) -> torch.Tensor:
    """A layer's answer to every direction: the transpose of the weight that acts."""
    with torch.no_grad():
        return layer(torch.eye(layer.in_features)).T


def test_rslora_is_scaled_by_the_root_of_the_rank(tiny_base, attached):
    """Kalajdzievski 2023, Eq. 6; peft's own scale is the same."""
    layer, down, up = parts(tiny_base, attached("rslora", rank=4, lora_alpha=3.0))
    own = layer.get_base_layer().weight
    torch.testing.assert_close(output(layer), own + 3 / 4**0.5 * up @ down)
    plain = torch.nn.Linear(4, 4)
    config = LoraConfig(r=4, lora_alpha=3, use_rslora=True)
    theirs = Linear(plain, "a", config=config, r=4, lora_alpha=3)
    assert theirs.scaling["a"] == pytest.approx(layer.scaling["edlora_sylvie"])


def test_dora_turns_the_weight_and_keeps_its_magnitude(tiny_base, attached, tmp_path):
    """Liu et al. 2024, Eq. 5: m (W + BA) / |W + BA|, by rows of torch's weights."""
    adapter = attached("dora", rank=4)
    layer, down, up = parts(tiny_base, adapter)
    own = layer.get_base_layer().weight
    magnitude = dict(lora_parameters(tiny_base, adapter))[f"{LAYER}.lora_magnitude_vector"]
    torch.testing.assert_close(magnitude, own.norm(dim=1))
    with torch.no_grad():
        magnitude *= 1.5
    turned = own + up @ down
    wanted = 1.5 * own.norm(dim=1, keepdim=True) * turned / turned.norm(dim=1, keepdim=True)
    torch.testing.assert_close(output(layer), wanted)
    with merged(tiny_base):
        torch.testing.assert_close(output(layer), wanted)
    save_adapter(tiny_base, adapter, tmp_path / "a.safetensors")
    detach(tiny_base, adapter)
    load_adapter(tiny_base, tmp_path / "a.safetensors")
    torch.testing.assert_close(output(dict(lora_layers(tiny_base))[LAYER]), wanted)
    assert read_metadata(tmp_path / "a.safetensors")["dora"] is True


def test_pissa_starts_as_the_base_from_its_strongest_directions(tiny_base):
    """Meng et al. 2024, Eq. 2-4: what stays in the weight's place are the directions beyond r."""
    before = dict(tiny_base.unet.named_parameters())
    own = before.get(f"{LAYER[5:]}.weight", before.get(f"{LAYER[5:]}.base_layer.weight"))
    own = own.detach().clone()
    adapter = attach_new(
        tiny_base, "sylvie", "girl", TrainSettings(lora_variant="pissa", rank=4, targets="all")
    )
    layer = dict(lora_layers(tiny_base))[LAYER]
    values = torch.linalg.svdvals(own)
    rest = torch.linalg.svdvals(layer.get_base_layer().weight)
    torch.testing.assert_close(rest[: len(values) - 4], values[4:], atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(output(layer), own, atol=1e-5, rtol=1e-4)
    for name, wrapped in lora_layers(tiny_base):  # convolutions too
        weight = wrapped.get_base_layer().weight + wrapped.get_delta_weight("edlora_sylvie")
        torch.testing.assert_close(
            weight, adapter.deltas.own.get(f"{name}.weight"), atol=1e-5, rtol=1e-3
        )
    detach(tiny_base, adapter)
    assert not tiny_base.exchanged


def test_pissa_is_saved_as_lora_of_twice_the_rank(tiny_base, attached, tmp_path):
    adapter = attached("pissa", rank=4)
    layer, *_ = parts(tiny_base, adapter)
    wanted, path = output(layer), tmp_path / "a.safetensors"
    for scale in (0.5, 1.0):
        set_active(tiny_base, ["sylvie"], scale)
        at_scale = output(layer)
    save_adapter(tiny_base, adapter, path)
    state = adapter_state(tiny_base, adapter)
    load_adapter_state(tiny_base, adapter, state)
    assert all(torch.equal(state[k], v) for k, v in adapter_state(tiny_base, adapter).items())
    set_active(tiny_base, ["sylvie"], 0.5)
    half = output(layer)
    detach(tiny_base, adapter)
    own = output(layer)
    torch.testing.assert_close(half, (own + wanted) / 2, atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(at_scale, wanted)
    facts = read_metadata(path)
    assert (facts["rank"], facts["alpha"]) == (8, 8) and facts["format"] == 1
    tensors = load_file(path)
    change = tensors[f"{LAYER}.lora_B.weight"] @ tensors[f"{LAYER}.lora_A.weight"]
    torch.testing.assert_close(own + change, wanted, atol=1e-5, rtol=1e-4)
    load_adapter(tiny_base, path)
    torch.testing.assert_close(output(layer), wanted, atol=1e-5, rtol=1e-4)
