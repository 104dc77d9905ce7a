"""Cross-attention with one text per layer, its order, and recorded maps."""

from collections.abc import Callable
from copy import deepcopy
from functools import partial
from types import SimpleNamespace
from unittest.mock import create_autospec

import pytest
import torch
from diffusers.models.attention_processor import Attention, AttnProcessor, AttnProcessor2_0

from smalti.models.attention import (
    AttentionRecorder,
    LayerwiseAttention,
    attend_plainly,
    attention_kernel,
    cross_attention_names,
    fold,
    install_layerwise_attention,
)


def random_text(base, batch: int = 2, seed: int = 0) -> torch.Tensor:
    """Different text for every layer, [B, L, 77, D]."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(batch, base.layers, 77, base.concepts.embedding_dim, generator=generator)


def predict(base, text: torch.Tensor) -> torch.Tensor:
    generator = torch.Generator().manual_seed(5)
    latents = torch.randn(len(text), 4, 8, 8, generator=generator)
    return base.unet(latents, torch.tensor(500), text).sample


def test_layers_are_numbered_in_the_order_of_the_forward_pass(base):
    reached, hooks = [], []
    for name, module in base.unet.named_modules():
        if name.endswith("attn2"):
            hooks.append(module.register_forward_hook(lambda *_, name=name: reached.append(name)))
    with torch.no_grad():
        predict(base, random_text(base))
    for hook in hooks:
        hook.remove()
    assert cross_attention_names(base.unet) == reached
    listed = [name for name in base.unet.attn_processors if "attn2" in name]
    assert [name.removesuffix(".processor") for name in listed] != reached  # down, up, mid


def test_every_layer_reads_its_own_text(base):
    text, read, hooks = random_text(base), [], []
    for name in cross_attention_names(base.unet):
        to_k = base.unet.get_submodule(name).to_k
        hooks.append(to_k.register_forward_pre_hook(lambda _, inputs: read.append(inputs[0])))
    with torch.no_grad():
        predict(base, text)
    for hook in hooks:
        hook.remove()
    for index, seen in enumerate(read):
        assert torch.equal(seen, text[:, index])


@torch.no_grad()
def test_folded_and_repeated_text_equal_plain_text(base):
    plain = random_text(base)[:, 0]
    layered = plain[:, None].repeat(1, base.layers, 1, 1)
    expected = predict(base, plain)
    torch.testing.assert_close(predict(base, layered), expected)
    torch.testing.assert_close(predict(base, fold(layered)), expected)


@torch.no_grad()
def test_folded_text_equals_4d_text_with_different_layers(base):
    text = random_text(base)
    assert fold(text).shape == (2, base.layers * 77, base.concepts.embedding_dim)
    torch.testing.assert_close(predict(base, fold(text)), predict(base, text))
    assert (predict(base, text) - predict(base, text[:, 0])).abs().max() > 1e-3


def test_texts_one_by_one_equal_4d_text_and_have_its_gradient(base):
    text = random_text(base)
    found = []
    for form in (lambda t: t, lambda t: t.unbind(1)):
        leaf = text.clone().requires_grad_()
        output = base.unet(torch.ones(2, 4, 8, 8), torch.tensor(500), form(leaf)).sample
        output.square().sum().backward()
        found.append((output.detach(), leaf.grad))
    for one, other in zip(*found, strict=True):
        assert torch.equal(one, other)
    assert all(found[0][1][:, layer].abs().max() > 0 for layer in range(base.layers))


@torch.no_grad()
def test_layerwise_attention_equals_diffusers_own_on_plain_text(base):
    stock = deepcopy(base.unet)
    stock.set_attn_processor(AttnProcessor2_0())
    plain = random_text(base)[:, 0]
    latents = torch.ones(2, 4, 8, 8)
    expected = stock(latents, torch.tensor(500), plain).sample
    torch.testing.assert_close(base.unet(latents, torch.tensor(500), plain).sample, expected)


@pytest.mark.parametrize(("side", "large"), [(32, False), (33, True)])
def test_a_cpu_holds_only_small_attention_maps_whole(side: int, large: bool):
    """Whatever the size that the base was made for."""
    kernel = attention_kernel(torch.nn.Linear(1, 1), "sdpa")
    assert type(kernel.large) is AttnProcessor2_0
    kernel.large = create_autospec(kernel.large, side_effect=kernel.large)
    kernel(loud_attention(), torch.randn(1, side * side, 32), torch.randn(1, 77, 24))
    assert kernel.large.called is large


def loud_attention(dtype: torch.dtype = torch.float32) -> Attention:
    """A layer as in Stable Diffusion 2.1, `upcast_attention` included, with logits of 1e5."""
    torch.manual_seed(0)
    layer = Attention(32, cross_attention_dim=24, heads=4, dim_head=8, upcast_attention=True)
    with torch.no_grad():
        layer.to_q.weight *= 400
        layer.to_k.weight *= 400
    return layer.to(dtype)


def loud_inputs(dtype: torch.dtype) -> tuple[torch.Tensor, torch.Tensor]:
    """Latents [2, 64, 32] and text [2, 77, 24]."""
    g = torch.Generator().manual_seed(1)
    hidden, text = torch.randn(2, 64, 32, generator=g), torch.randn(2, 77, 24, generator=g)
    return hidden.to(dtype).requires_grad_(), text.to(dtype).requires_grad_()


def ours(kernel: str, layer: Attention) -> Callable[..., torch.Tensor]:
    """A kernel of ours as a function of latents and text."""
    fused = AttnProcessor2_0()
    if kernel == "recorded":
        return partial(LayerwiseAttention(0, 1, fused, AttentionRecorder()), layer)
    inner = attention_kernel(layer, "sdpa", gradients=kernel == "plain")
    return partial(LayerwiseAttention(0, 1, inner, None), layer)


@pytest.mark.parametrize("kernel", ["recorded", "plain", "fused"])
def test_layers_that_do_not_ask_for_it_do_not_overflow_either(kernel):
    """As in Stable Diffusion 1.5: diffusers' fused kernel has logits in fp32, its plain one not."""
    layer, (hidden, text) = loud_attention(torch.float16), loud_inputs(torch.float16)
    wanted = AttnProcessor()(layer, hidden, text)
    layer.upcast_attention = False
    torch.testing.assert_close(ours(kernel, layer)(hidden, text), wanted, rtol=1e-2, atol=1e-2)


PRECISIONS = [torch.float32, torch.bfloat16, torch.float16]


@pytest.mark.parametrize("dtype", PRECISIONS, ids=str)
@pytest.mark.parametrize("kernel", ["recorded", "plain", "fused"])
def test_logits_of_1e5_give_what_diffusers_own_processor_gives(kernel, dtype):
    layer, (hidden, text) = loud_attention(dtype), loud_inputs(dtype)
    with torch.no_grad():
        query, key = (layer.head_to_batch_dim(x).double()
                      for x in (layer.to_q(hidden), layer.to_k(text)))  # fmt: skip
        assert 1e5 < (query @ key.mT * layer.scale).abs().max() < 1e6
    wanted = AttnProcessor()(layer, hidden, text)
    found = ours(kernel, layer)(hidden, text)
    assert found.isfinite().all() and found.dtype == wanted.dtype
    within = {"rtol": 1e-2, "atol": 1e-2}  # of weights near 1; maps are as good as one-hot
    torch.testing.assert_close(found, wanted, **within)
    slope = torch.autograd.grad(found.float().sum(), layer.to_v.weight)[0]
    assert slope.isfinite().all()
    wanted_slope = torch.autograd.grad(wanted.float().sum(), layer.to_v.weight)[0]
    torch.testing.assert_close(slope, wanted_slope, rtol=2e-2, atol=0.5)


@pytest.mark.parametrize("dtype", PRECISIONS[1:], ids=str)
@pytest.mark.parametrize("kernel", ["recorded", "plain", "fused"])
def test_autocast_does_not_take_the_logits_back(kernel, dtype):
    """Training computes so: fp32 layers, whose products autocast would round or make infinite."""
    layer, (hidden, text) = loud_attention(), loud_inputs(torch.float32)
    with torch.autocast("cpu", dtype=dtype):
        found = ours(kernel, layer)(hidden, text).float()
    rounded = loud_attention(dtype)
    wanted = AttnProcessor()(rounded, hidden.to(dtype), text.to(dtype)).float()
    torch.testing.assert_close(found, wanted, rtol=2e-2, atol=2e-2)
    for slope in torch.autograd.grad(found.square().sum(), (hidden, text)):
        assert slope.isfinite().all()


@pytest.mark.parametrize("dtype", PRECISIONS, ids=str)
def test_maps_of_loud_layers_are_probabilities(dtype):
    layer, (hidden, text) = loud_attention(dtype), loud_inputs(dtype)
    query, key = (layer.head_to_batch_dim(x) for x in (layer.to_q(hidden), layer.to_k(text)))
    wanted = layer.get_attention_scores(query, key).unflatten(0, (2, 4)).float()
    maps = attend_plainly(layer, hidden, text)[1]
    assert maps.dtype == torch.float32
    torch.testing.assert_close(maps, wanted, rtol=0, atol=2e-2)
    torch.testing.assert_close(maps.sum(-1), torch.ones(2, 4, 64))


def memory_efficient_attention(
    query, key, value, attn_bias=None, p=0.0, scale=None, *, op=None, output_dtype=None
):
    """xformers' function by its signature and shapes [B, n, d] (0.0.30), in fp32 inside."""
    assert attn_bias is None and p == 0.0 and op is None and output_dtype is None
    logits = query.float() @ key.float().mT * scale
    return (logits.softmax(-1) @ value.float()).to(query.dtype)


@torch.no_grad()
@pytest.mark.parametrize("recorded", [False, True])
def test_xformers_is_asked_for_what_torch_gives(base, monkeypatch, recorded):
    from diffusers.models import attention_processor

    asked = create_autospec(memory_efficient_attention, side_effect=memory_efficient_attention)
    stub = SimpleNamespace(ops=SimpleNamespace(memory_efficient_attention=asked))
    monkeypatch.setattr(attention_processor, "xformers", stub)
    text, recorder = random_text(base), AttentionRecorder() if recorded else None
    expected = predict(base, text)
    install_layerwise_attention(base.unet, recorder, attention="xformers")
    torch.testing.assert_close(predict(base, text), expected)
    # With a recorder, cross-attention must show its maps: only self-attention is left to it.
    assert asked.call_count == base.layers * (1 if recorded else 2)


def test_the_recorder_collects_probabilities_only_while_open(base):
    recorder, text = AttentionRecorder(), random_text(base)
    expected = predict(base, text)
    install_layerwise_attention(base.unet, recorder)
    predict(base, text)
    assert recorder.maps == []
    with recorder:
        recorded = predict(base, text)
    torch.testing.assert_close(recorded, expected)
    assert [layer for layer, _ in recorder.maps] == list(range(base.layers))
    for _, maps in recorder.maps:
        assert maps.shape[0] == 2 and maps.shape[3] == 77
        torch.testing.assert_close(maps.sum(-1), torch.ones(maps.shape[:3]))
    sizes = {maps.shape[2] for _, maps in recorder.maps}
    assert sizes == {64, 16, 4, 1}
    with recorder:
        predict(base, text)
    assert len(recorder.maps) == base.layers  # entering starts afresh


def test_recorded_maps_match_a_reference_softmax(base):
    """Query and key are caught by hooks on the projections of layer 3."""
    caught, text = {}, random_text(base)
    attn = base.unet.get_submodule(cross_attention_names(base.unet)[3])
    hooks = [
        getattr(attn, key).register_forward_hook(lambda *a, key=key: caught.setdefault(key, a[2]))
        for key in ("to_q", "to_k")
    ]
    recorder = AttentionRecorder()
    install_layerwise_attention(base.unet, recorder)
    with torch.no_grad(), recorder:
        predict(base, text)
    for hook in hooks:
        hook.remove()
    maps = recorder.maps[3][1]
    width = caught["to_q"].shape[-1] // attn.heads
    for head in range(attn.heads):
        span = slice(head * width, (head + 1) * width)
        scores = caught["to_q"][..., span] @ caught["to_k"][..., span].mT / width**0.5
        torch.testing.assert_close(maps[:, head], scores.softmax(-1))


def test_checkpointing_records_once_and_gives_the_same_gradients(base):
    """The trap: recomputation in the backward pass visits every layer a second time."""

    def run() -> torch.Tensor:
        text = random_text(base).requires_grad_()
        with recorder:
            output = predict(base, text)
        assert len(recorder.maps) == base.layers
        loss = output.square().mean()
        loss = loss + sum(maps[..., 3].square().mean() for _, maps in recorder.maps)
        (gradient,) = torch.autograd.grad(loss, text)
        assert len(recorder.maps) == base.layers
        return gradient

    recorder = AttentionRecorder()
    install_layerwise_attention(base.unet, recorder)
    expected = run()
    base.unet.enable_gradient_checkpointing()
    base.unet.train()
    try:
        torch.testing.assert_close(run(), expected)
    finally:
        base.unet.eval()
