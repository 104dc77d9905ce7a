"""Maps of the concept's words: which tokens, averaged over what."""

from dataclasses import replace

import pytest
import torch
from torch import nn
from training import prepared

from smalti.configs.errors import InputError
from smalti.models.bases import load_base
from smalti.train import prepare as preparation
from smalti.train.batch import make_batch
from smalti.train.step import batch_losses
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


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16], ids=str)
def test_a_base_of_loud_attention_trains_in_half_precision(
    folder, settings, tmp_path, monkeypatch, dtype
):
    """Cross-attention logits far above what fp16 holds, as Stable Diffusion 2.1 has them."""

    def loud_base(*arguments, **options):
        base = load_base(*arguments, **options)
        for name, layer in base.unet.named_modules():
            if name.endswith("attn2"):
                layer.to_q.weight.data *= 300
                layer.to_k.weight.data *= 300
        return base

    monkeypatch.setattr(preparation, "load_base", loud_base)
    run = prepared(folder, settings, tmp_path / "work")
    batch = make_batch(run, 0)
    assert run.recorder is not None and batch.has_mask.any()
    exact = {name: loss.item() for name, loss in batch_losses(run, batch).items()}
    with torch.autocast("cpu", dtype=dtype):
        losses = batch_losses(run, batch)
    # Maps of such layers are as good as one-hot: rounding moves where, not how much.
    assert exact["attention"] / 3 < losses["attention"].item() < 3 * exact["attention"]
    assert losses["denoising"].item() == pytest.approx(exact["denoising"], rel=0.2)
    learned = [p for part in run.base.lora_parts() for p in part.module.parameters()
               if p.requires_grad]  # fmt: skip
    scaled = sum(losses.values()) * 2.0**-8  # as a gradient scaler finds out for fp16
    slopes = torch.autograd.grad(scaled, learned, allow_unused=True)
    assert all(slope.isfinite().all() for slope in slopes if slope is not None)
