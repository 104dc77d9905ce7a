"""Concept words, layer-wise prompts, cross-attention order and recorded maps."""

from copy import deepcopy

import pytest
import torch
from diffusers.models.attention_processor import AttnProcessor2_0
from torch import nn

from smalti.configs.errors import InputError
from smalti.models.attention import (
    AttentionRecorder,
    cross_attention_names,
    fold,
    install_layerwise_attention,
)
from smalti.models.conditioning import (
    ConceptEmbedding,
    concept_key,
    concept_token_names,
    encode_prompts,
    prompt_ids,
)


def random_text(base, batch: int = 2, seed: int = 0) -> torch.Tensor:
    """Different text for every layer, [B, L, 77, D]."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(batch, base.layers, 77, base.concepts.embedding_dim, generator=generator)


def predict(base, text: torch.Tensor) -> torch.Tensor:
    generator = torch.Generator().manual_seed(5)
    latents = torch.randn(len(text), 4, 8, 8, generator=generator)
    return base.unet(latents, torch.tensor(500), text).sample


# --- cross-attention --------------------------------------------------------------------------


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


@pytest.mark.parametrize(("size", "kernel"), [(8, "AttnProcessor"), (64, "AttnProcessor2_0")])
def test_a_cpu_holds_only_small_attention_maps_whole(base, size, kernel):
    unet = deepcopy(base.unet).to("cpu")
    unet.register_to_config(sample_size=size)
    install_layerwise_attention(unet)
    used = {type(p).__name__ for name, p in unet.attn_processors.items() if "attn1" in name}
    assert used == {kernel}


def test_the_recorder_collects_probabilities_only_while_open(base):
    recorder, text = AttentionRecorder(), random_text(base)
    expected = predict(base, text)
    install_layerwise_attention(base.unet, recorder)
    predict(base, text)
    assert recorder.maps == []
    with recorder:
        recorded = predict(base, text)
    torch.testing.assert_close(recorded, expected)
    assert [layer for layer, _ in recorder.maps] == list(range(16))
    for _, maps in recorder.maps:
        assert maps.shape[0] == 2 and maps.shape[3] == 77
        torch.testing.assert_close(maps.sum(-1), torch.ones(maps.shape[:3]))
    sizes = {maps.shape[2] for _, maps in recorder.maps}
    assert sizes == {64, 16, 4, 1}
    with recorder:
        predict(base, text)
    assert len(recorder.maps) == 16  # entering starts afresh


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
        assert len(recorder.maps) == 16
        loss = output.square().mean()
        loss = loss + sum(maps[..., 3].square().mean() for _, maps in recorder.maps)
        (gradient,) = torch.autograd.grad(loss, text)
        assert len(recorder.maps) == 16
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


# --- words and prompts ------------------------------------------------------------------------


def test_names_of_concept_words():
    assert concept_token_names("Sylvie") == ["<sylvie-1>", "<sylvie-2>"]
    assert concept_token_names("Harry Potter.v2", words=1) == ["<harry-potter-v2-1>"]
    with pytest.raises(InputError, match="cannot name a concept"):
        concept_key("日本")


@pytest.mark.parametrize("prompt", ["", "a cat", "A  Red CAT, close-up!", "a cat " * 60])
def test_plain_prompts_are_tokenised_as_the_tokenizer_does(base, trained, prompt):
    adapter = trained()
    stock = base.tokenizer(
        prompt, padding="max_length", max_length=77, truncation=True, return_tensors="pt"
    )
    ids = prompt_ids(base, [prompt], [adapter])
    assert ids.shape == (1, 16, 77)
    assert torch.equal(ids, stock.input_ids[:, None].expand(1, 16, 77))


def test_another_padding_token_is_respected(base):
    usual = base.tokenizer.pad_token
    base.tokenizer.pad_token = "!"  # as on SD 2.x
    ids = prompt_ids(base, ["a cat"])[0, 0]
    base.tokenizer.pad_token = usual
    assert ids[3] == base.tokenizer.eos_token_id
    assert (ids[4:] == base.tokenizer.convert_tokens_to_ids("!")).all()


def test_concept_words_become_one_id_per_layer(base, trained):
    first, second = trained("sylvie"), trained("eileen", seed=1)
    size = base.concepts.num_embeddings
    prompt = "a <SYLVIE-1> <sylvie-2>, and<Eileen-2>"
    ids = prompt_ids(base, [prompt], [first, second])[0]
    a, comma, and_ = (base.tokenizer(w).input_ids[1] for w in ("a", ",", "and"))
    for layer in range(16):
        expected = [a, size + layer, size + 16 + layer, comma, and_, size + 32 + 16 + layer]
        assert ids[layer, 1:7].tolist() == expected
    assert (ids[:, 7] == base.tokenizer.eos_token_id).all()
    # Words of adapters that were not passed are ordinary text.
    assert (prompt_ids(base, [prompt], [first])[0] < size + 32).all()


def test_a_long_prompt_keeps_its_end_token(base, trained):
    adapter = trained()
    ids = prompt_ids(base, ["cat " * 74 + adapter.trigger], [adapter])[0]
    assert torch.equal(ids[:, 75], torch.arange(16) + base.concepts.num_embeddings)
    assert (ids[:, 76] == base.tokenizer.eos_token_id).all()


@torch.no_grad()
def test_encoding_equals_one_stock_pass_per_layer(base, trained):
    """Reference: for each layer, a text encoder whose table holds that layer's words as rows."""
    adapter = trained()
    prompts = [f"a photo of a {adapter.trigger} on a hill", "a cat"]
    text = encode_prompts(base, prompts, [adapter])
    assert text.shape == (2, 16, 77, base.concepts.embedding_dim)
    size = base.concepts.num_embeddings
    reference = deepcopy(base.text_encoder)
    for layer in range(16):
        rows = torch.cat([base.concepts.weight, adapter.embeddings[:, layer]])
        reference.set_input_embeddings(nn.Embedding.from_pretrained(rows))
        ids = base.tokenizer(
            ["a photo of a photo photo on a hill", "a cat"],
            padding="max_length",
            max_length=77,
            return_tensors="pt",
        ).input_ids
        ids[0, 5:7] = torch.tensor([size, size + 1])
        torch.testing.assert_close(text[:, layer], reference(ids).last_hidden_state)


@pytest.mark.parametrize(("method", "rows"), [("edlora", 16 + 1), ("lora", 1 + 1)])
def test_only_distinct_texts_are_encoded(base, trained, method, rows):
    adapter, counted = trained(method=method), []
    hook = base.text_encoder.encoder.register_forward_pre_hook(
        lambda _, args, kwargs: counted.append(len(kwargs["inputs_embeds"])), with_kwargs=True
    )
    prompts = [f"a {adapter.trigger}", "a cat", "a cat", f"a {adapter.trigger}"]
    text = encode_prompts(base, prompts, [adapter])
    hook.remove()
    assert counted == [rows]
    torch.testing.assert_close(text[0], text[3])
    torch.testing.assert_close(text[1], text[1, :1].expand_as(text[1]))


def test_the_embedding_table_is_the_base_followed_by_the_words():
    plain = nn.Embedding(5, 3)
    concepts = ConceptEmbedding(plain)
    assert torch.equal(concepts(torch.arange(5)), plain.weight)
    concepts.tables["a"] = nn.Parameter(torch.randn(2, 4, 3))
    concepts.tables["b"] = nn.Parameter(torch.randn(1, 1, 3))
    rows = torch.cat([plain.weight, concepts.tables["a"].flatten(0, 1), concepts.tables["b"][0]])
    assert torch.equal(concepts(torch.arange(14)[None])[0], rows)
    assert concepts.ids("a").tolist() == [[5, 6, 7, 8], [9, 10, 11, 12]]
    assert concepts.ids("b").tolist() == [[13]]


def test_gradients_reach_only_the_rows_in_use(base, trained):
    adapter = trained()
    text = encode_prompts(base, [f"a {adapter.words[0]}"], [adapter])
    text[:, 3].square().sum().backward()
    moved = adapter.embeddings.grad.abs().sum(-1) > 0
    assert moved.nonzero().tolist() == [[0, 3]]
    adapter.embeddings.grad = None
