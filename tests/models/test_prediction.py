"""Kinds of prediction: algebra by hand, and diffusers as the reference implementation."""

import pytest
import torch
from diffusers import DDIMScheduler, DDPMScheduler

from smalti.configs.errors import InputError
from smalti.models.prediction import NoiseLevel, prediction_of

KINDS = ("epsilon", "v_prediction", "sample")
SHAPE = (3, 4, 2, 2)
TIMES = torch.tensor([10, 500, 980])


def two_tensors(seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    """Clean latents and noise."""
    g = torch.Generator().manual_seed(seed)
    return torch.randn(SHAPE, generator=g), torch.randn(SHAPE, generator=g)


def ddim(kind: str, *, zero_terminal: bool = False) -> DDIMScheduler:
    scheduler = DDIMScheduler(
        beta_schedule="scaled_linear", beta_start=0.00085, beta_end=0.012, clip_sample=False,
        prediction_type=kind, rescale_betas_zero_snr=zero_terminal, timestep_spacing="trailing",
    )  # fmt: skip
    scheduler.set_timesteps(10)
    return scheduler


@pytest.mark.parametrize("kind", KINDS)
def test_the_target_leads_back_to_the_clean_latents(kind: str):
    (clean, noise), prediction = two_tensors(), prediction_of(kind)
    level = NoiseLevel.of(TIMES, ddim(kind).alphas_cumprod)
    z = level.noised(clean, noise)
    found = prediction.clean(prediction.target(clean, noise, level), z, level)
    torch.testing.assert_close(found, clean, atol=2e-5, rtol=1e-4)


def test_a_target_is_what_its_name_says():
    (clean, noise), level = two_tensors(), NoiseLevel(7, alpha=0.6, sigma=0.8)
    assert torch.equal(prediction_of("epsilon").target(clean, noise, level), noise)
    assert torch.equal(prediction_of("sample").target(clean, noise, level), clean)
    v = prediction_of("v_prediction").target(clean, noise, level)
    torch.testing.assert_close(v, 0.6 * noise - 0.8 * clean)


def test_noise_and_velocity_are_those_of_diffusers():
    scheduler = DDPMScheduler(beta_schedule="scaled_linear", prediction_type="v_prediction")
    clean, noise = two_tensors()
    level = NoiseLevel.of(TIMES, scheduler.alphas_cumprod)
    torch.testing.assert_close(level.noised(clean, noise), scheduler.add_noise(clean, noise, TIMES))
    torch.testing.assert_close(
        prediction_of("v_prediction").target(clean, noise, level),
        scheduler.get_velocity(clean, noise, TIMES),
    )


@pytest.mark.parametrize("kind", KINDS)
def test_clean_latents_are_those_of_diffusers_ddim(kind: str):
    """Its step reports the x0 that it saw in an output."""
    scheduler = ddim(kind)
    output, z = two_tensors(1)
    for timestep in scheduler.timesteps:
        alpha_bar = float(scheduler.alphas_cumprod[timestep])
        level = NoiseLevel(timestep, alpha_bar**0.5, (1 - alpha_bar) ** 0.5)
        expected = scheduler.step(output, timestep, z).pred_original_sample
        found = prediction_of(kind).clean(output, z, level)
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("kind", KINDS)
def test_carry_is_the_slope_of_the_clean_latents(kind: str):
    prediction, level = prediction_of(kind), NoiseLevel(7, alpha=0.6, sigma=0.8)
    output, z = two_tensors(2)
    moved = prediction.clean(output, z + 1, level) - prediction.clean(output, z, level)
    torch.testing.assert_close(moved, torch.full_like(z, prediction.carry(level)))


@pytest.mark.parametrize("kind", KINDS)
def test_pure_noise_stays_finite(kind: str):
    """At zero-terminal SNR there is no signal to divide by (Lin et al. 2024)."""
    scheduler, prediction = ddim(kind, zero_terminal=True), prediction_of(kind)
    assert scheduler.alphas_cumprod[-1] == 0
    output, z = two_tensors(3)
    level = NoiseLevel(999, alpha=0.0, sigma=1.0)
    clean = prediction.clean(output, z, level)
    assert clean.isfinite().all() and torch.tensor(prediction.carry(level)).isfinite()
    if kind == "v_prediction":
        assert torch.equal(clean, -output)
        assert torch.equal(prediction.target(output, z, level), -output)


@pytest.mark.parametrize(("kind", "extra"), [("epsilon", 0), ("v_prediction", 1)])
def test_min_snr_is_the_published_formula(kind: str, extra: int):
    """min(s, g) / s and min(s, g) / (s + 1), with s the signal-to-noise ratio (Hang et al.)."""
    alphas = torch.tensor([0.999, 0.9, 5 / 6, 0.5, 0.1, 0.001], dtype=torch.float64)
    snr = [float(a / (1 - a)) for a in alphas]
    expected = [min(s, 5.0) / (s + extra) for s in snr]
    found = prediction_of(kind).min_snr_weight(alphas, 5.0)
    assert found.tolist() == pytest.approx(expected, rel=1e-9)


def test_min_snr_of_samples_weighs_by_the_ratio_itself():
    alphas = torch.tensor([0.9, 0.5, 0.1, 0.0], dtype=torch.float64)
    found = prediction_of("sample").min_snr_weight(alphas, 5.0)
    assert found.tolist() == pytest.approx([5.0, 1.0, 1 / 9, 0.0])


@pytest.mark.parametrize(("kind", "noise", "signal"), [
    ("epsilon", 1, 0), ("v_prediction", 0, 0), ("sample", 0, 5),
])  # fmt: skip
def test_min_snr_at_its_two_ends_is_finite(kind: str, noise: float, signal: float):
    found = prediction_of(kind).min_snr_weight(torch.tensor([0.0, 1.0]), 5.0)
    assert found.tolist() == [noise, signal]


def test_an_unknown_kind_is_refused_by_name():
    with pytest.raises(InputError) as caught:
        prediction_of("flow_match")
    assert "flow_match" in str(caught.value)


# --- one level per sample ---------------------------------------------------------------------


def test_levels_lie_where_their_timesteps_lie():
    """A schedule is kept on the CPU; training asks for levels on the device of its batch."""
    level = NoiseLevel.of(TIMES.to("meta"), ddim("epsilon").alphas_cumprod)
    assert {level.alpha.device.type, level.sigma.device.type} == {"meta"}


@pytest.mark.parametrize("kind", KINDS)
def test_a_batch_of_levels_is_each_sample_at_its_own(kind: str):
    """At zero-terminal SNR, the last of them without signal."""
    alphas, times = ddim(kind, zero_terminal=True).alphas_cumprod, torch.tensor([10, 500, 999])
    (output, z), prediction = two_tensors(4), prediction_of(kind)
    batch = NoiseLevel.of(times, alphas)
    clean = prediction.clean(output, z, batch)
    carry = torch.as_tensor(prediction.carry(batch)).expand(3, 1, 1, 1)
    for row, time in enumerate(times.tolist()):
        alpha_bar = float(alphas[time])
        one = NoiseLevel(time, alpha_bar**0.5, (1 - alpha_bar) ** 0.5)
        torch.testing.assert_close(clean[row], prediction.clean(output[row], z[row], one))
        assert float(carry[row]) == pytest.approx(prediction.carry(one), rel=1e-6)
