"""Prompts with concept words, encoded with one text per cross-attention layer."""

from copy import deepcopy

import pytest
import torch
from tiny import LAYERS
from torch import nn

from smalti.models.conditioning import ConceptEmbedding, encode_prompts, prompt_ids


@pytest.mark.parametrize("prompt", ["", "a cat", "A  Red CAT, close-up!", "a cat " * 60])
def test_plain_prompts_are_tokenised_as_the_tokenizer_does(base, trained, prompt):
    adapter = trained()
    stock = base.tokenizer(
        prompt, padding="max_length", max_length=77, truncation=True, return_tensors="pt"
    )
    ids = prompt_ids(base, [prompt], [adapter])
    assert ids.shape == (1, LAYERS, 77)
    assert torch.equal(ids, stock.input_ids[:, None].expand(1, LAYERS, 77))


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
    for layer in range(LAYERS):
        words = [size + LAYERS * word + layer for word in (0, 1, 3)]
        expected = [a, words[0], words[1], comma, and_, words[2]]
        assert ids[layer, 1:7].tolist() == expected
    assert (ids[:, 7] == base.tokenizer.eos_token_id).all()
    # Words of adapters that were not passed are ordinary text.
    assert (prompt_ids(base, [prompt], [first])[0] < size + 2 * LAYERS).all()


def test_a_long_prompt_keeps_its_end_token(base, trained):
    adapter = trained()
    ids = prompt_ids(base, ["cat " * 74 + adapter.trigger], [adapter])[0]
    assert torch.equal(ids[:, 75], torch.arange(LAYERS) + base.concepts.num_embeddings)
    assert (ids[:, 76] == base.tokenizer.eos_token_id).all()


@torch.no_grad()
def test_encoding_equals_one_stock_pass_per_layer(base, trained):
    """Reference: for each layer, a text encoder whose table holds that layer's words as rows."""
    adapter = trained()
    prompts = [f"a photo of a {adapter.trigger} on a hill", "a cat"]
    text = encode_prompts(base, prompts, [adapter])
    assert text.shape == (2, LAYERS, 77, base.concepts.embedding_dim)
    size = base.concepts.num_embeddings
    reference = deepcopy(base.text_encoder)
    for layer in range(LAYERS):
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


@pytest.mark.parametrize(("method", "rows"), [("edlora", LAYERS + 1), ("lora", 1 + 1)])
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
