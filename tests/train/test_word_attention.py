"""Maps of the concept's words: which tokens, averaged over what."""

from dataclasses import replace

import pytest
import torch
from torch import nn
from training import prepared

from smalti.configs.errors import InputError
from smalti.train.word_attention import make_recorder, word_maps, word_places


def test_word_maps_pick_the_words_and_average_heads_and_layers():
    maps = [
        (0, torch.rand(2, 3, 16, 77)),
        (1, torch.rand(2, 3, 4, 77)),
        (2, torch.rand(2, 3, 16, 77)),
    ]
    places = torch.tensor([[5, 6], [2, 9]])
    found = word_maps(maps, places, (8, 8))
    assert {key: tuple(value.shape) for key, value in found.items()} == {
        4: (2, 2, 4, 4),
        2: (2, 2, 2, 2),
    }
    by_hand = sum(maps[layer][1][1, head, 6, 9] for layer in (0, 2) for head in range(3)) / 6
    assert found[4][1, 1, 1, 2].item() == pytest.approx(by_hand.item())


def test_words_are_found_where_they_stand(folder, settings, tmp_path):
    run = prepared(folder, settings, tmp_path / "work")
    words = run.adapter.trigger
    # The begin token is at 0; "a", "red" and "cup" are one token each.
    assert word_places(run, f"a red {words} cup").tolist() == [3, 4]
    assert word_places(run, words).tolist() == [1, 2]


def test_a_prompt_that_is_cut_before_the_concept_has_no_places(folder, settings, tmp_path):
    run = prepared(folder, settings, tmp_path / "work")
    with pytest.raises(InputError):
        word_places(run, "red " * 90 + run.adapter.trigger)


def test_maps_are_recorded_only_where_the_regulariser_reads_them(folder, settings, tmp_path):
    run = prepared(folder, settings, tmp_path / "work")
    shared = replace(run.adapter, embeddings=nn.Parameter(run.adapter.embeddings[:, :1].detach()))
    unmasked = replace(run.data, has_mask=torch.zeros_like(run.data.has_mask))
    off = replace(run.settings, attention_weight=0.0)
    assert make_recorder(run.base, run.adapter, run.data, run.settings) is not None
    assert make_recorder(run.base, shared, run.data, run.settings) is None
    assert make_recorder(run.base, run.adapter, unmasked, run.settings) is None
    assert make_recorder(run.base, run.adapter, run.data, off) is None
