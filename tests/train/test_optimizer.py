"""The optimiser's step: words at their norm limit stay, gradients of processes are averaged."""

import math
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


LIMIT, PUBLISHED_START = 0.55, 0.013 * 768**0.5  # Mix-of-Show's threshold and its first word's norm


def limits_of(starts: torch.Tensor, limit: float | None = LIMIT) -> torch.Tensor:
    """Limits of words whose three layers have these norms, each along another axis."""
    embeddings = starts[:, None, None] * torch.eye(3).expand(len(starts), 3, 3)
    return initial_norm_limits(embeddings, limit)


def test_a_word_may_grow_as_much_as_mix_of_shows_wherever_it_begins():
    """Of its own norm in proportion, and to the published threshold at least."""
    starts = torch.tensor([0.01, 0.2, PUBLISHED_START, 0.366, 0.368, 0.549, 0.551, 1.0, 30.0])
    found = limits_of(starts).tolist()
    for start, limit in zip(starts.tolist(), found, strict=True):
        assert limit >= LIMIT - 1e-6 and limit / start >= 1.5 - 1e-5
        assert limit == pytest.approx(LIMIT) or limit / start == pytest.approx(1.5, rel=1e-5)
    assert found[2] == pytest.approx(LIMIT)
    assert math.isclose(LIMIT / PUBLISHED_START, 1.5, rel_tol=0.03)
    assert limits_of(starts, None).isinf().all()


def test_nowhere_does_the_limit_jump():
    """Words that begin nearly alike may grow to nearly the same norm."""
    starts = torch.linspace(0.0, 1.5, 3001)
    steps = limits_of(starts).diff()
    assert steps.min() >= 0 and steps.max() <= 1.5 * starts.diff().max() + 1e-6


def test_a_missing_optimizer_says_what_to_install(folder, settings, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "bitsandbytes", None)
    with pytest.raises(InputError) as caught:
        prepared(folder, with_train(settings, optimizer="adamw8bit"), tmp_path / "work")
    assert "bitsandbytes" in str(caught.value) and "pip install" in str(caught.value)
