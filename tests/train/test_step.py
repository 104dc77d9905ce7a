"""One step: accumulation, timesteps, light, checkpointing, and a loss that falls."""

from contextlib import nullcontext
from dataclasses import replace
from unittest.mock import create_autospec

import pytest
import torch
from training import QUICK, prepared, with_train

from smalti.configs.errors import SmaltiError
from smalti.models.base import BaseModel
from smalti.models.edlora import adapter_state
from smalti.train import step
from smalti.train.batch import make_batch
from smalti.train.lighting import RELIT
from smalti.train.step import batch_losses, train_step

pytestmark = pytest.mark.slow  # each test draws or trains on the tiny model


def test_two_micro_batches_equal_one_batch(folder, settings, tmp_path):
    """Gradient accumulation 2 x 1 draws the samples of batch 2 and averages their losses."""
    gradients = []
    for batch, accumulation in ((2, 1), (1, 2)):
        changes = {"batch_size": batch, "gradient_accumulation": accumulation}
        changed = with_train(settings, min_snr_gamma=5.0, **changes)
        run = prepared(folder, changed, tmp_path / "work")
        for micro in range(accumulation):
            losses = batch_losses(run, make_batch(run, micro))
            (sum(losses.values()) / accumulation).backward()
        parameters = [p for g in run.optimizer.param_groups for p in g["params"]]
        gradients.append(torch.cat([p.grad.flatten() for p in parameters]))
    assert gradients[0].abs().max() > 1e-4
    assert torch.allclose(gradients[0], gradients[1], rtol=1e-3, atol=1e-6)


def test_min_snr_decides_which_timesteps_come_and_weighs_no_loss(folder, settings, tmp_path):
    """Against the formula for predicted noise, min(s, g) / s: the mean timestep of 800 samples."""
    run = prepared(
        folder, with_train(settings, batch_size=100, min_snr_gamma=0.5), tmp_path / "work"
    )
    alphas = run.base.denoiser.alphas_cumprod.double()
    snr = alphas / (1 - alphas)
    share = snr.clamp(max=0.5) / snr
    share /= share.sum()
    times = torch.arange(len(share), dtype=torch.float64)
    mean = (share * times).sum()
    error = ((share * (times - mean).square()).sum() / 800).sqrt()
    drawn = []
    for run.step in range(8):
        drawn.append(make_batch(run, 0).timesteps.double())
    assert mean - times.mean() > 12 * error
    assert abs(torch.cat(drawn).mean() - mean) < 4 * error

    batch = make_batch(replace(run, settings=QUICK), 0)
    plain = replace(run, settings=replace(run.settings, min_snr_gamma=None))
    losses = [batch_losses(each, batch)["denoising"] for each in (run, plain)]
    torch.testing.assert_close(*losses)


def test_relit_steps_say_so_and_show_relit_latents(folder, settings, tmp_path):
    run = prepared(folder, with_train(settings, relit_share=0.5), tmp_path / "work")
    shown = set()
    for run.step in range(12):
        batch = make_batch(run, 0)
        relit = {prompt.endswith(RELIT) for prompt in batch.prompts}
        own = run.data.latents[:, :, 0].flatten(0, 1)
        plain = {any(torch.equal(one, crop) for crop in own) for one in batch.latents.cpu()}
        assert relit == {not found for found in plain}
        shown |= relit
    assert shown == {True, False}


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["epsilon", "v_prediction"])
def test_the_loss_falls_when_overfitting_one_batch(folder, settings, tmp_path, monkeypatch, kind):
    from tiny import make_tiny_sd

    base = replace(settings.base, source=str(make_tiny_sd(tmp_path / kind, prediction_type=kind)))
    run = prepared(
        folder, with_train(replace(settings, base=base), steps=200, rank=8), tmp_path / "work"
    )
    batch = make_batch(run, 0)
    monkeypatch.setattr(step, "make_batch", create_autospec(make_batch, return_value=batch))
    losses = [train_step(run)["denoising"] for _ in range(12)]
    assert losses[-1] < 0.9 * losses[0]


@pytest.mark.slow
def test_casts_that_are_left_to_autocast_change_nothing(folder, settings, tmp_path):
    """A cast to fp32 and back to bf16 is the identity, forwards and backwards."""
    states = []
    for spare in (BaseModel.casts_left_to_autocast, lambda base: nullcontext()):
        run = prepared(folder, with_train(settings, mixed_precision="bf16"), tmp_path / "work")
        with spare(run.base):
            train_step(run)
            train_step(run)
        states.append(adapter_state(run.base, run.adapter))
    assert all(torch.equal(states[0][key], states[1][key]) for key in states[0])


def test_gradient_checkpointing_changes_nothing(folder, settings, tmp_path):
    results = []
    for checkpointing in (False, True):
        changed = with_train(settings, gradient_checkpointing=checkpointing, attention_weight=1.0)
        run = prepared(folder, changed, tmp_path / "work")
        train_step(run)
        results.append(adapter_state(run.base, run.adapter))
        assert len(run.recorder.maps) == run.base.layers, "recorded again in the backward pass"
    for key in results[0]:
        assert torch.allclose(results[0][key], results[1][key], atol=1e-5), key


def test_a_loss_that_is_not_finite_stops_the_run(folder, settings, tmp_path):
    runaway = with_train(settings, learning_rate_unet=10.0, gradient_clip=None)
    run = prepared(folder, runaway, tmp_path / "work")
    with torch.no_grad():
        run.adapter.embeddings.fill_(torch.nan)
    with pytest.raises(SmaltiError) as caught:
        train_step(run)
    assert caught.value.exit_code == 1 and "nan" in str(caught.value)
