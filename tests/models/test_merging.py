"""Adapters merged into the weights: the same pictures, and the weights come back."""

import copy
from contextlib import nullcontext

import pytest
import torch

from smalti.configs.train import TrainSettings
from smalti.models.bases import load_base
from smalti.models.denoiser import with_cfg
from smalti.models.edlora import attach_new, set_active
from smalti.models.merging import merged, without_adapters


def equal(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[key], other[key]) for key in one)


@pytest.mark.parametrize("scale", [1.0, 0.7])
def test_merged_weights_draw_the_same(base, trained, predict, frozen_tensors, scale):
    adapter, before = trained(), frozen_tensors(base)
    set_active(base, [adapter.name], scale)
    prompt = f"a {adapter.trigger}"
    apart = predict(base, prompt, [adapter])
    with merged(base):
        assert not equal(frozen_tensors(base), before)
        together = predict(base, prompt, [adapter])
    torch.testing.assert_close(apart, together, atol=1e-5, rtol=1e-4)
    assert equal(frozen_tensors(base), before), "bit for bit"
    assert torch.equal(predict(base, prompt, [adapter]), apart)


def test_a_merged_weight_is_the_sum_by_hand(base, trained):
    """W + scale * alpha / rank * B A."""
    adapter = trained(lora_alpha=8, rank=4)
    set_active(base, [adapter.name], 0.7)
    layer = base.unet.mid_block.attentions[0].transformer_blocks[0].attn2.to_k
    down, up = layer.lora_A[adapter.peft_name].weight, layer.lora_B[adapter.peft_name].weight
    expected = layer.base_layer.weight + 0.7 * 2 * up @ down
    with merged(base):
        torch.testing.assert_close(layer.base_layer.weight, expected)


@pytest.fixture(scope="module")
def half_base(tiny_settings):
    """The tiny model in bf16, with an adapter whose LoRA is zero."""
    half = load_base(tiny_settings, device="cpu", dtype=torch.bfloat16)
    attach_new(half, "cat", "cat", TrainSettings())
    return half


def lora_layers(base) -> list:
    return [layer for layer in base.unet.modules() if hasattr(layer, "lora_A")]


def set_strength(base, strength: float) -> None:
    """Let LoRA change every weight by this share of its norm: B is random, A as it begins."""
    generator = torch.Generator().manual_seed(0)
    for layer in lora_layers(base):
        up, down = layer.lora_B["edlora_cat"].weight, layer.lora_A["edlora_cat"].weight
        with torch.no_grad():
            up.copy_(torch.randn(up.shape, generator=generator))
            size = layer.get_base_layer().weight.float().norm() / (up @ down).norm()
            up.mul_(strength * size)


@pytest.mark.parametrize("strength", [0.3, 0.03, 0.01, 0.003, 0.001, 0.0001])
def test_in_half_precision_no_adapter_loses_itself_to_rounding(half_base, frozen_tensors, strength):
    """What a layer adds to its input's product, merged or not, is B A to 3 parts in 100."""
    set_strength(half_base, strength)
    layers, before = lora_layers(half_base), frozen_tensors(half_base)
    weights = [layer.get_base_layer().weight.double().clone() for layer in layers]
    with merged(half_base):
        for layer, weight in zip(layers, weights, strict=True):
            pair = (layer.lora_B["edlora_cat"].weight, layer.lora_A["edlora_cat"].weight)
            wanted = pair[0].double() @ pair[1].double()
            change = layer.get_base_layer().weight.double() - weight
            beside = torch.zeros_like(wanted) if layer.merged else wanted
            assert (change + beside - wanted).norm() <= 0.031 * wanted.norm()
    assert equal(frozen_tensors(half_base), before), "bit for bit"


@pytest.mark.parametrize(("strength", "all_merged"), [(1.0, True), (0.001, False)])
def test_a_strong_adapter_costs_no_products_and_a_weak_one_is_kept(
    half_base, strength, all_merged
):
    """bf16 has 8 bits: rounding is about 2^-9 / sqrt(3) of a weight, 0.1 % of a change as large."""
    set_strength(half_base, strength)
    with merged(half_base):
        found = {layer.merged for layer in lora_layers(half_base)}
    assert found == {all_merged}


def test_in_full_precision_every_layer_is_merged(base, trained):
    adapter = trained()
    # Layers of other adapters stay where these were detached.
    own = [layer for layer in lora_layers(base) if adapter.peft_name in layer.lora_B]
    with torch.no_grad():
        for layer in own:
            layer.lora_B[adapter.peft_name].weight.mul_(1e-6)
    with merged(base):
        assert own and all(layer.merged for layer in own)


def test_weights_come_back_after_an_error(base, trained, frozen_tensors):
    adapter, before = trained(), frozen_tensors(base)
    set_active(base, [adapter.name])
    with pytest.raises(MemoryError), merged(base):
        raise MemoryError
    assert equal(frozen_tensors(base), before)


def test_nothing_is_merged_where_no_adapter_is_active(base, trained, frozen_tensors):
    trained()
    set_active(base, [])
    before = frozen_tensors(base)
    with merged(base):
        assert equal(frozen_tensors(base), before)


def test_weights_come_back_when_memory_runs_out_halfway(tiny_settings, monkeypatch):
    base = load_base(tiny_settings, device="cpu")
    attach_new(base, "cat", "cat", TrainSettings())
    layers = [m for m in base.lora_parts()[0].module.modules() if hasattr(m, "lora_A")]
    before = [layer.get_base_layer().weight.clone() for layer in layers]
    torch.nn.init.ones_(layers[0].lora_B["edlora_cat"].weight)

    def full(*_: object) -> None:
        raise MemoryError

    monkeypatch.setattr(layers[1], "merge", full)
    with pytest.raises(MemoryError), merged(base):
        pass
    assert not any(layer.merged for layer in layers)
    now = [layer.get_base_layer().weight for layer in layers]
    assert all(torch.equal(a, b) for a, b in zip(before, now, strict=True))


@pytest.mark.parametrize("together", [True, False])
def test_without_adapters_the_network_is_the_bases_own(base, trained, predict, together):
    """Be they merged or beside the weights; then they are back."""
    before = predict(base, "a cat")
    adapter = trained(targets="all")
    base.text_encoder.disable_adapters()  # what is asked about is the network
    with merged(base) if together else nullcontext():
        adapted = predict(base, "a cat")
        with without_adapters(base):
            assert torch.equal(predict(base, "a cat"), before)
        assert torch.equal(predict(base, "a cat"), adapted)
    base.text_encoder.enable_adapters()
    assert not torch.equal(adapted, before) and adapter.name in base.adapters


@pytest.mark.parametrize("strength", [1.0, 0.003])
def test_without_adapters_in_half_precision(half_base, strength):
    """Where some layers are merged and others are not."""
    z = torch.randn(1, 4, 8, 8, generator=torch.Generator().manual_seed(0))
    set_active(half_base, [])
    shown = half_base.encode_text(["a cat"])
    plain = half_base.network(z, 300, shown)
    set_active(half_base, ["cat"])
    set_strength(half_base, strength)
    with merged(half_base), without_adapters(half_base):
        assert torch.equal(half_base.network(z, 300, shown), plain)
    assert not torch.equal(half_base.network(z, 300, shown), plain)


def test_gradients_through_guidance_away_from_the_bare_base(base, trained):
    """As by two networks of their own: what was exchanged must not reach the backward pass."""
    bare = copy.deepcopy(base.unet)
    adapter = trained(targets="all")
    shown = base.encode_text([f"a {adapter.trigger}"], [adapter])
    negative = base.encode_text([""], [adapter])
    level = base.denoiser.level(torch.tensor([400]))
    z = torch.randn(1, 4, 8, 8, generator=torch.Generator().manual_seed(0), requires_grad=True)
    with merged(base):
        guided = with_cfg(base.denoiser, negative, 3.0, weaker=base.bare_denoiser)
        found = guided.output(z, level, shown)
        (slope,) = torch.autograd.grad(found.square().sum(), z)
        with_it = base.network(z, level.timestep, shown)
        without = bare(z, level.timestep, encoder_hidden_states=negative.text).sample
        expected = without + 3.0 * (with_it - without)
        (wanted,) = torch.autograd.grad(expected.square().sum(), z)
    torch.testing.assert_close(found, expected)
    torch.testing.assert_close(slope, wanted, rtol=1e-4, atol=1e-4)
