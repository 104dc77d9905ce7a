"""The optimiser's step: words at their norm limit stay, gradients of processes are averaged."""

import math
import sys
from types import SimpleNamespace

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


class AdamW8bit(torch.optim.AdamW):
    """bitsandbytes' class by its signature (0.45 to 0.48), in 32 bits."""

    def __init__(
        self, params, lr=1e-3, betas=(0.9, 0.999), eps=1e-8, weight_decay=1e-2, amsgrad=False,
        optim_bits=32, args=None, min_8bit_size=4096, percentile_clipping=100, block_wise=True,
        is_paged=False,
    ):  # fmt: skip
        super().__init__(params, lr=lr, betas=betas, eps=eps, weight_decay=weight_decay)


def test_the_8_bit_optimizer_gets_what_adamw_gets(folder, settings, tmp_path, monkeypatch):
    """Groups, rates and decay; a step and its resumption need nothing else of it."""
    monkeypatch.setitem(
        sys.modules, "bitsandbytes", SimpleNamespace(optim=SimpleNamespace(AdamW8bit=AdamW8bit))
    )
    runs = [prepared(folder, with_train(settings, optimizer=name), tmp_path / name)
            for name in ("adamw", "adamw8bit")]  # fmt: skip
    for run in runs:
        train_step(run)
    plain, eight = runs
    assert isinstance(getattr(eight.optimizer, "optimizer", eight.optimizer), AdamW8bit)
    torch.testing.assert_close(eight.adapter.embeddings, plain.adapter.embeddings)
    state = eight.optimizer.state_dict()
    assert [g["weight_decay"] for g in state["param_groups"]] == [settings.train.weight_decay] * 3
    eight.optimizer.load_state_dict(state)
    train_step(eight)


def test_a_missing_optimizer_says_what_to_install(folder, settings, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "bitsandbytes", None)
    with pytest.raises(InputError) as caught:
        prepared(folder, with_train(settings, optimizer="adamw8bit"), tmp_path / "work")
    assert "bitsandbytes" in str(caught.value) and "pip install" in str(caught.value)
