"""The shared loop: schedule and average against their formulas, and time limits."""

import math
from pathlib import Path

import pytest
import torch
from torch import nn

from smalti.configs.errors import InputError
from smalti.starter.loop import Ema, fit, rate, step_seed
from smalti.starter.recipe_settings import LoopSettings, read_recipe

SETTINGS = LoopSettings(steps=1000, warmup=100, learning_rate=2e-3)


@pytest.mark.parametrize(("step", "spent", "expected"), [
    (0, 0, 2e-5), (49, 0, 1e-3), (99, 0, 2e-3), (100, 0, 2e-3),
    (550, 0, 2e-3 * 0.505), (1000, 0, 2e-5), (5000, 0, 2e-5),
    (100, 0.5, 2e-3 * 0.505), (550, 0.2, 2e-3 * 0.505), (100, 1.0, 2e-5), (100, 3.0, 2e-5),
    (325, 0, 2e-3 * (0.01 + 0.99 * 0.5 * (1 + math.sqrt(0.5)))),
])
def test_rate(step: int, spent: float, expected: float) -> None:
    assert rate(SETTINGS, step, spent) == pytest.approx(expected)


def test_rate_never_rises_after_warm_up() -> None:
    rates = [rate(SETTINGS, step) for step in range(100, 1001)]
    assert rates == sorted(rates, reverse=True)


def test_average_against_a_loop() -> None:
    model = nn.Linear(1, 1, bias=False)
    nn.init.constant_(model.weight, 0.0)
    ema, expected = Ema(model, decay=0.5), 0.0
    for step in range(30):
        nn.init.constant_(model.weight, float(step))
        ema.update(model, step)
        decay = min(0.5, (1 + step) / (10 + step))
        expected = decay * expected + (1 - decay) * step
    twin = ema.averaged(model)
    assert twin.weight.item() == pytest.approx(expected, rel=1e-5)
    assert model.weight.item() == 29
    assert not twin.weight.requires_grad


def test_step_seeds_differ() -> None:
    seeds = {step_seed(seed, step) for seed in range(20) for step in range(2000)}
    assert len(seeds) == 40_000
    assert torch.Generator().manual_seed(step_seed(10**6, 2**40))


@pytest.mark.parametrize("preset", ["cpu", "gpu"])
def test_presets(preset: str) -> None:
    settings = read_recipe(preset, ["unet.steps=7", "corpus.seed=3"])
    assert (settings.unet.steps, settings.corpus.seed) == (7, 3)
    assert settings.vae.crop % 8 == 0


def test_an_unknown_setting_names_the_nearest() -> None:
    with pytest.raises(InputError, match='did you mean "unet.steps"'):
        read_recipe("cpu", ["unet.step=7"])
    with pytest.raises(InputError, match="cpu, gpu"):
        read_recipe("tpu")
    with pytest.raises(InputError, match="batch_size must be at least 1"):
        read_recipe("cpu", ["clip.batch_size=0"])


def test_a_stage_that_used_up_its_minutes_stays_finished(tmp_path: Path) -> None:
    """The limit counts over all runs: a second one descends no more, until it gets more minutes."""

    def run(minutes: float) -> tuple[nn.Module, list[int]]:
        torch.manual_seed(0)
        model, steps = nn.Linear(2, 1), []

        def loss(step: int) -> dict[str, torch.Tensor]:
            steps.append(step)
            return {"l2": model(torch.ones(1, 2)).square().mean()}

        settings = LoopSettings(steps=3, minutes=minutes, warmup=1, bf16=False)
        return fit("stage", model, loss, settings, tmp_path, lambda *_: None), steps

    first, steps = run(1e-9)
    assert steps == [0]
    again, steps = run(1e-9)
    assert steps == [] and torch.equal(again.weight, first.weight)
    longer, steps = run(60)
    assert steps == [1, 2] and not torch.equal(longer.weight, first.weight)
