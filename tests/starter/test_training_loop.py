"""The shared loop: schedule and average against their formulas, and time limits."""

import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

from smalti.configs.errors import InputError
from smalti.starter.recipe_settings import LoopSettings
from smalti.starter.training_loop import fit, learning_rate, step_seed, update_average

SETTINGS = LoopSettings(steps=1000, warmup=100, learning_rate=2e-3)


@pytest.mark.parametrize(("step", "spent", "expected"), [
    (0, 0, 2e-5), (49, 0, 1e-3), (99, 0, 2e-3), (100, 0, 2e-3),
    (550, 0, 2e-3 * 0.505), (1000, 0, 2e-5), (5000, 0, 2e-5),
    (100, 0.5, 2e-3 * 0.505), (550, 0.2, 2e-3 * 0.505), (100, 1.0, 2e-5), (100, 3.0, 2e-5),
    (325, 0, 2e-3 * (0.01 + 0.99 * 0.5 * (1 + math.sqrt(0.5)))),
])
def test_rate(step: int, spent: float, expected: float) -> None:
    assert learning_rate(SETTINGS, step, spent) == pytest.approx(expected)


def test_rate_never_rises_after_warm_up() -> None:
    rates = [learning_rate(SETTINGS, step) for step in range(100, 1001)]
    assert rates == sorted(rates, reverse=True)


def test_average_against_a_loop() -> None:
    """It begins as the weights after the first step, and forgets them quickly at first."""
    model = nn.Linear(1, 1, bias=False)
    average, expected = AveragedModel(model), 0.0
    for step in range(30):
        nn.init.constant_(model.weight, float(step))
        update_average(average, model, decay=0.5)
        decay = min(0.5, (1 + step) / (10 + step)) if step else 0.0
        expected = decay * expected + (1 - decay) * step
    assert average.module.weight.item() == pytest.approx(expected, rel=1e-5)
    assert model.weight.item() == 29


def test_step_seeds_differ() -> None:
    seeds = {step_seed(seed, step) for seed in range(20) for step in range(2000)}
    assert len(seeds) == 40_000
    assert torch.Generator().manual_seed(step_seed(10**6, 2**40))


SHORT = LoopSettings(steps=7, warmup=2, checkpoint_every=2, bf16=False, learning_rate=0.1)


def run(settings: LoopSettings, work: Path, stop_at: int = -1) -> tuple[nn.Module, list[int]]:
    """The averaged model of a small regression, and the steps done; Ctrl+C as `stop_at` begins."""
    torch.manual_seed(0)
    model, steps = nn.Linear(2, 1), []

    def loss(step: int) -> dict[str, Tensor]:
        if step == stop_at:
            raise KeyboardInterrupt
        steps.append(step)
        g = torch.Generator().manual_seed(step_seed(settings.seed, step))
        return {"l2": model(torch.rand(4, 2, generator=g)).square().mean()}

    return fit("stage", model, loss, settings, work, lambda *_: None), steps


def test_a_stopped_run_ends_as_an_unbroken_one(tmp_path: Path) -> None:
    unbroken, _ = run(SHORT, tmp_path / "unbroken")
    with pytest.raises(KeyboardInterrupt):
        run(SHORT, tmp_path / "stopped", stop_at=5)
    resumed, steps = run(SHORT, tmp_path / "stopped")
    assert steps == [4, 5, 6]
    assert torch.equal(resumed.weight, unbroken.weight)
    kept, expected = (torch.load(tmp_path / f / "stage.pt") for f in ("stopped", "unbroken"))
    assert torch.equal(kept["model"]["weight"], expected["model"]["weight"])
    assert not torch.equal(kept["model"]["weight"], resumed.weight), "the average lags behind"


def test_an_older_checkpoint_is_refused(tmp_path: Path) -> None:
    run(SHORT, tmp_path)
    state = torch.load(tmp_path / "stage.pt")
    state["ema"] = [state.pop("average")["module.weight"]]
    torch.save(state, tmp_path / "stage.pt")
    with pytest.raises(InputError, match=r"stage\.pt"):
        run(SHORT, tmp_path)


def test_a_stage_that_used_up_its_minutes_stays_finished(tmp_path: Path) -> None:
    """The limit counts over all runs: a second one descends no more, until it gets more minutes."""
    first, steps = run(replace(SHORT, steps=3, minutes=1e-9), tmp_path)
    assert steps == [0]
    again, steps = run(replace(SHORT, steps=3, minutes=1e-9), tmp_path)
    assert steps == [] and torch.equal(again.weight, first.weight)
    longer, steps = run(replace(SHORT, steps=3, minutes=60), tmp_path)
    assert steps == [1, 2] and not torch.equal(longer.weight, first.weight)
