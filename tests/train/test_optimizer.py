"""The optimiser's step: words at their norm limit stay, gradients of processes are averaged."""

import sys

import pytest
import torch
from training import prepared, with_train

from smalti.configs.errors import InputError
from smalti.train.optimizer import initial_norm_limits
from smalti.train.step import train_step


def test_words_at_the_norm_limit_stay_put(folder, settings, tmp_path):
    run = prepared(folder, settings, tmp_path / "work")
    run.frozen_words = [True, False]
    held = run.adapter.embeddings.detach().clone()
    train_step(run)
    now = run.adapter.embeddings.detach()
    assert torch.equal(now[0], held[0]) and not torch.equal(now[1], held[1])
    run.norm_limits = torch.tensor([100.0, 0.01])
    train_step(run)
    assert run.frozen_words == [True, True]


def test_norm_limits_of_words_below_and_above_the_published_one():
    embeddings = torch.stack([torch.full((3, 4), 0.1), torch.full((3, 4), 0.5)])  # norms 0.2, 1.0
    below, above = initial_norm_limits(embeddings, 0.55).tolist()
    assert below == pytest.approx(0.55)
    assert above == pytest.approx(0.55 / 0.36, abs=0.05)  # may grow as much as Mix-of-Show's may
    assert initial_norm_limits(embeddings, None).isinf().all()


def test_a_missing_optimizer_says_what_to_install(folder, settings, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "bitsandbytes", None)
    with pytest.raises(InputError) as caught:
        prepared(folder, with_train(settings, optimizer="adamw8bit"), tmp_path / "work")
    assert "bitsandbytes" in str(caught.value) and "pip install" in str(caught.value)
