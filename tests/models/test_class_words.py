"""Where concept words begin: a Gaussian of the words' own length, and the class word."""

import pytest
import torch
from refusals import refused

from smalti.models.class_words import initial_words


def words(base, class_word: str, seed: int = 0, layers: int = 16) -> torch.Tensor:
    return initial_words(base, class_word, layers, torch.Generator().manual_seed(seed))


def test_the_first_word_has_the_length_of_the_bases_words(tiny_base):
    """A Gaussian in D dimensions has the expected squared norm D variance."""
    usual = tiny_base.concepts.weight.norm(dim=1).median().item()
    lengths = [words(tiny_base, "girl", seed)[0, 0].norm().item() for seed in range(200)]
    mean_square = sum(length**2 for length in lengths) / 200
    assert 0.7 * usual < mean_square**0.5 < 1.1 * usual


def test_every_layer_starts_the_same(tiny_base):
    table = words(tiny_base, "girl")
    assert table.shape == (2, 16, tiny_base.concepts.embedding_dim)
    assert torch.equal(table, table[:, :1].expand_as(table))
    assert torch.equal(words(tiny_base, "girl", layers=1), table[:, :1])


def test_a_class_word_of_several_tokens_is_their_mean(tiny_base):
    rows = tiny_base.concepts.weight
    ids = [tiny_base.tokenizer(word).input_ids[1] for word in ("teddy", "bear")]
    expected = (rows[ids[0]] + rows[ids[1]]) / 2
    torch.testing.assert_close(words(tiny_base, "teddy bear")[1, 7], expected)


@pytest.mark.parametrize(("word", "hint"), [("grl", "girl"), ("xqzvk", "person"), ("", "person")])
def test_an_unknown_class_word_is_refused_with_a_suggestion(tiny_base, word, hint):
    with refused(repr(word), "'tiny'", hint):
        words(tiny_base, word)
