"""The denoiser and classifier-free guidance around it, with networks that can be done by hand."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from smalti.models.denoiser import Conditioning, Denoiser, stacked, with_cfg
from smalti.models.denoising import describe_step, make_scheduler
from smalti.models.prediction import NoiseLevel, prediction_of

LEVEL = NoiseLevel(400, alpha=0.6, sigma=0.8)
LAYERS, WIDTH = 2, 3


def text(*values: float) -> Tensor:
    """Texts [K, L, 77, D], each full of one value."""
    return torch.tensor(values)[:, None, None, None].expand(-1, LAYERS, 77, WIDTH)


class Network:
    """Puts out z times the mean of the text, and remembers how large its batches were."""

    def __init__(self) -> None:
        self.batches: list[int] = []

    def __call__(self, z: Tensor, timestep: int | Tensor, conditioning: Conditioning) -> Tensor:
        self.batches.append(len(z))
        assert len(conditioning.text) == len(z)
        return z * conditioning.text.mean((1, 2, 3))[:, None, None, None] + 0.001 * timestep


@pytest.fixture
def network() -> Network:
    return Network()


@pytest.fixture
def z() -> Tensor:
    return torch.randn(2, 4, 8, 8, generator=torch.Generator().manual_seed(0))


def denoiser_of(network: Network, kind: str = "epsilon") -> Denoiser:
    return Denoiser(network, prediction_of(kind), torch.linspace(0.999, 0.0, 1000))


# --- the denoiser -----------------------------------------------------------------------------


def test_clean_latents_are_what_the_networks_output_means(network, z):
    output = z * torch.tensor([2.0, 3.0]).view(2, 1, 1, 1) + 0.4
    for kind, expected in (
        ("epsilon", (z - 0.8 * output) / 0.6),
        ("v_prediction", 0.6 * z - 0.8 * output),
        ("sample", output),
    ):
        found = denoiser_of(network, kind)(z, LEVEL, Conditioning(text(2.0, 3.0)))
        torch.testing.assert_close(found, expected)


def test_a_base_denoises_as_its_own_unet_and_scheduler(any_base):
    """Reference: the UNet called by hand, and the x0 that diffusers' DDIM sees in its output."""
    z = torch.randn(2, 4, 8, 8, generator=torch.Generator().manual_seed(1))
    scheduler, stock = make_scheduler(any_base, "ddim", 4), any_base.scheduler("ddim")
    stock.set_timesteps(4)
    with torch.no_grad():
        wanted = any_base.encode_text(["a cat", "a dog"])
        for index, timestep in enumerate(stock.timesteps):
            step = describe_step(any_base.denoiser, scheduler, index)
            output = any_base.unet(z, timestep, wanted.text).sample
            expected = stock.step(output, timestep, z).pred_original_sample
            found = any_base.denoiser(z, step, wanted)
            torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-3)


def test_levels_of_training_timesteps_are_those_of_the_schedule(any_base):
    times = torch.tensor([0, 500, 999])
    level = any_base.denoiser.level(times)
    bars = any_base.scheduler("ddim").alphas_cumprod[times].view(-1, 1, 1, 1)
    torch.testing.assert_close(level.alpha**2, bars)
    torch.testing.assert_close(level.alpha**2 + level.sigma**2, torch.ones(3, 1, 1, 1))
    assert torch.equal(level.timestep, times)


def test_a_network_that_hits_the_target_denoises_perfectly(any_base):
    """What training asks for is what drawing takes apart."""
    clean, noise = torch.randn(2, 3, 4, 8, 8, generator=torch.Generator().manual_seed(2))
    level = any_base.denoiser.level(torch.tensor([100, 500, 900]))
    target = any_base.denoiser.target(clean, noise, level)
    perfect = replace(any_base.denoiser, network=lambda z, t, c: target)
    found = perfect(level.noised(clean, noise), level, Conditioning(text(0.0, 0.0, 0.0)))
    torch.testing.assert_close(found, clean, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("kind", ["epsilon", "v_prediction"])
def test_timesteps_weigh_alike_without_a_gamma(network, kind):
    denoiser = denoiser_of(network, kind)
    assert denoiser.timestep_weights(None).tolist() == [1.0] * 1000
    weights = denoiser.timestep_weights(5.0)
    snr = 0.999 / 0.001  # of the first timestep
    assert weights[0].item() == pytest.approx(5 / (snr + (kind == "v_prediction")), rel=1e-3)


# --- classifier-free guidance -----------------------------------------------------------------


@pytest.mark.parametrize("kind", ["epsilon", "v_prediction", "sample"])
def test_guidance_is_the_formula_by_hand(network, z, kind):
    """out = negative + s (wanted - negative), then x0 (Ho & Salimans 2022)."""
    denoiser, wanted = denoiser_of(network, kind), Conditioning(text(2.0, 3.0))
    guided = with_cfg(denoiser, Conditioning(text(0.5)), 4.0)
    without = 0.5 * z + 0.4
    with_it = z * torch.tensor([2.0, 3.0]).view(2, 1, 1, 1) + 0.4
    output = without + 4.0 * (with_it - without)
    torch.testing.assert_close(guided.output(z, LEVEL, wanted), output)
    expected = prediction_of(kind).clean(output, z, LEVEL)
    torch.testing.assert_close(guided(z, LEVEL, wanted), expected)
    assert guided.carry(LEVEL) == denoiser.carry(LEVEL)
    assert set(network.batches) == {4}


def test_it_leaves_a_weaker_denoiser(network, z):
    """out = weaker(negative) + s (wanted - weaker(negative)) (Karras et al. 2024, Eq. 3)."""
    wanted = Conditioning(text(2.0, 3.0))
    weaker = replace(denoiser_of(network), network=lambda z, timestep, shown: 7 * z)
    guided = with_cfg(denoiser_of(network), Conditioning(text(0.5)), 4.0, weaker=weaker)
    with_it = z * torch.tensor([2.0, 3.0]).view(2, 1, 1, 1) + 0.4
    torch.testing.assert_close(guided.output(z, LEVEL, wanted), 7 * z + 4.0 * (with_it - 7 * z))
    assert network.batches == [2]


@pytest.mark.parametrize(("share", "inside"), [
    (0.0, False), (0.19, False), (0.2, True), (0.4, True), (0.6, True), (0.61, False),
])  # fmt: skip
def test_outside_its_window_it_is_the_plain_denoiser_at_half_the_batch(network, z, share, inside):
    denoiser, wanted = denoiser_of(network), Conditioning(text(2.0, 3.0))
    guided = with_cfg(denoiser, Conditioning(text(0.5)), 4.0, (0.2, 0.6))
    found = guided(z, LEVEL, wanted, share)
    assert network.batches == [4 if inside else 2]
    assert torch.equal(found, denoiser(z, LEVEL, wanted)) is not inside


def test_a_scale_of_one_is_the_denoiser_itself(network):
    denoiser = denoiser_of(network)
    assert with_cfg(denoiser, Conditioning(text(0.5)), 1.0) is denoiser


# --- conditioning -----------------------------------------------------------------------------


def whole(first: float, count: int = 1) -> Conditioning:
    """Conditioning of every part, sample k full of `first` + k."""
    values = [first + k for k in range(count)]
    rows = torch.tensor(values)[:, None]
    residuals = tuple(rows[:, :, None, None].expand(-1, 2, side, side) for side in (4, 2))
    return Conditioning(text(*values), rows.expand(-1, 5), rows.expand(-1, 6), residuals)


def values_of(part: Tensor | None) -> list[float]:
    """The one value that fills each sample."""
    assert part is not None
    first, *others = part.flatten(1).unbind(1)
    assert all(torch.equal(first, other) for other in others)
    return first.tolist()


def test_one_batch_before_another():
    """Without residuals of its own, a negative prompt takes those of what is wanted."""
    negative = replace(whole(1.0, 2), residuals=())
    both = negative.before(whole(5.0, 2))
    for part in (both.text, both.pooled, both.time_ids):
        assert values_of(part) == [1, 2, 5, 6]
    assert [values_of(part) for part in both.residuals] == [[5, 6, 5, 6]] * 2


def test_one_sample_for_a_batch():
    many = replace(whole(3.0), residuals=()).repeated(4)
    for part in (many.text, many.pooled, many.time_ids):
        assert values_of(part) == [3.0] * 4
    assert many.text.shape == (4, LAYERS, 77, WIDTH)


def test_samples_become_a_batch_in_their_order():
    batch = stacked([replace(whole(value), residuals=()) for value in (7.0, 2.0, 9.0)])
    for part in (batch.text, batch.pooled, batch.time_ids):
        assert values_of(part) == [7, 2, 9]


def test_what_a_family_does_not_know_stays_out():
    plain = Conditioning(text(1.0))
    for joined in (plain.before(plain), plain.repeated(2), stacked([plain, plain])):
        assert len(joined.text) == 2
        assert joined.pooled is None and joined.time_ids is None and joined.residuals == ()
