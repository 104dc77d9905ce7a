"""The denoising loop against stock diffusers; guided runs against a loop written out here."""

import math
from dataclasses import replace

import pytest
import torch
from tiny import stock_pipeline

from smalti.configs.mosaic import SCHEDULERS
from smalti.generate.alignment import latent_alignment
from smalti.generate.guidance.exact import ExactGuide
from smalti.models.attention import fold
from smalti.models.band import LowPass
from smalti.models.denoiser import with_cfg
from smalti.models.denoising import denoise, draw_pictures, make_scheduler, noised_at
from smalti.models.randomness import keyed_generator, normal

CFG = 4.0
SHAPE = (4, 8, 8)


def predicts_v(base) -> bool:
    return base.scheduler_config["prediction_type"] == "v_prediction"


@torch.no_grad()
def texts(base, *prompts: str):
    """What prompts and a negative prompt condition the network with."""
    return base.encode_text(list(prompts)), base.encode_text(["a black dog"])


@pytest.mark.parametrize("name", ["ddim", "dpm++", "unipc"])
def test_without_guidance_it_is_the_stock_pipeline(any_base, name):
    wanted, negative = texts(any_base, "a cat", "a red car")
    latents = normal((2, *SHAPE), 3)
    denoiser = with_cfg(any_base.denoiser, negative, CFG)
    ours = denoise(denoiser, make_scheduler(any_base, name, 4), latents, wanted)
    theirs = stock_pipeline(any_base, name)(
        prompt_embeds=fold(wanted.text),
        negative_prompt_embeds=fold(negative.repeated(2).text),
        latents=latents,
        num_inference_steps=4,
        guidance_scale=CFG,
        output_type="latent",
    ).images
    assert torch.allclose(ours, theirs, atol=2e-4, rtol=1e-3)


# --- guided, against the equations ------------------------------------------------------------


def alpha_bars(base) -> torch.Tensor:
    """SD's scaled-linear schedule from its definition, zero-terminal as Lin et al. rescale it."""
    betas = torch.linspace(0.00085**0.5, 0.012**0.5, 1000, dtype=torch.float64) ** 2
    bars = torch.cumprod(1 - betas, 0)
    if predicts_v(base):
        root = bars.sqrt()
        bars = ((root - root[-1]) * root[0] / (root[0] - root[-1])) ** 2
    return bars


def times_of(base, steps: int) -> list[int]:
    """Timesteps, spaced trailing for zero-terminal SNR, else leading with an offset of 1."""
    stride = 1000 // steps
    if predicts_v(base):
        return [999 - i * stride for i in range(steps)]
    return [(steps - 1 - i) * stride + 1 for i in range(steps)]


def blurred(image: torch.Tensor, size: int, sigma: float) -> torch.Tensor:
    """Area means of size x size cells, and a Gaussian over them."""
    blur = torch.tensor(
        [[math.exp(-((i - j) ** 2) / 2 / sigma**2) for j in range(size)] for i in range(size)]
    )
    blur = blur / blur.sum(1, keepdim=True)
    side = image.shape[-1] // size
    small = image.reshape(1, 3, size, side, size, side).mean((3, 5))
    return torch.einsum("ih,nchw,jw->ncij", blur, small, blur)


def with_statistics(x: torch.Tensor, code: torch.Tensor) -> torch.Tensor:
    """Eq. 3-5, channel by channel."""
    aligned = torch.empty_like(x)
    for c in range(4):
        mu, sd = x[0, c].mean(), x[0, c].std(correction=0)
        aligned[0, c] = code[0, c].mean() + code[0, c].std(correction=0) * (x[0, c] - mu) / sd
    return aligned


def reference_loop(base, text, negative, z, block, *, steps, weight, decay, color):
    """One tile, unbatched: the paper's equations and DDIM's, written out."""
    bars, scale = alpha_bars(base), base.vae.config.scaling_factor
    big = torch.nn.functional.interpolate(block, size=64, mode="bicubic")
    code = base.vae.encode(big.clamp(0, 1) * 2 - 1).latent_dist.mean * scale
    target, stride = blurred(block, 16, 1.5), 1000 // steps
    for index, t in enumerate(times_of(base, steps)):
        before = bars[t - stride] if t >= stride else bars[0]  # set_alpha_to_one is off
        a, s = bars[t].sqrt().item(), (1 - bars[t]).sqrt().item()
        a_next, s_next = before.sqrt().item(), (1 - before).sqrt().item()
        z = z.detach().requires_grad_()
        none = base.unet(z, t, encoder_hidden_states=negative).sample
        some = base.unet(z, t, encoder_hidden_states=text).sample
        out = none + CFG * (some - none)
        raw = a * z - s * out if predicts_v(base) else (z - s * out) / a
        x0 = with_statistics(raw, code) if color else raw
        image = base.vae.decode(x0 / scale).sample / 2 + 0.5
        error = (blurred(image, 16, 1.5) - target).square().mean()
        pull = weight * decay**index * (64 / 9216)
        z_new = (z - pull * torch.autograd.grad(error, z)[0]).detach()
        z, out, shift = z_new, out.detach(), (x0 - raw).detach()
        x0 = a * z - s * out if predicts_v(base) else (z - s * out) / a
        eps = a * out + s * z if predicts_v(base) else out
        x0, eps = x0 + shift, eps - a / s * shift  # z = a x0 + s eps keeps holding
        z = a_next * x0 + s_next * eps
    return z


@pytest.mark.slow
@pytest.mark.parametrize("color", [False, True])
def test_guided_steps_against_the_equations_written_out(any_base, color):
    base = any_base
    wanted, negative = texts(base, "a cat", "a dog")
    z, blocks = normal((2, *SHAPE), 4), torch.rand(2, 3, 16, 16, generator=keyed_generator(5))
    guide = ExactGuide(base, blocks, weight=1e5, decay=0.8, low_pass=LowPass(16, 1.5))
    align = latent_alignment(base, blocks, 64) if color else None
    denoiser = with_cfg(base.denoiser, negative, CFG)

    def run(guide):
        scheduler = make_scheduler(base, "ddim", 2)
        return denoise(denoiser, scheduler, z, wanted, align=align, guide=guide)

    ours, plain = run(guide), run(None)
    for k in range(2):
        one = slice(k, k + 1)
        theirs = reference_loop(
            base, wanted.text[one], negative.text, z[one], blocks[one],
            steps=2, weight=1e5, decay=0.8, color=color,
        )  # fmt: skip
        assert torch.allclose(ours[one], theirs, atol=2e-3, rtol=2e-3)
    assert (ours - plain).abs().max() > 0.1, "the guide must matter here"


# --- the loop ---------------------------------------------------------------------------------


class Spy:
    """A guide that changes nothing and remembers the steps at which it was asked."""

    def __init__(self, through_unet: bool = False):
        self.through_unet = through_unet
        self.seen = []

    def __call__(self, z, x0, step):
        self.seen.append((step.index, z.requires_grad and x0.requires_grad))
        return z, x0


@pytest.mark.parametrize(
    ("window", "expected"),
    [((0.0, 1.0), range(10)), ((0.3, 1.0), range(3, 10)), ((0.0, 0.6), range(6)), ((0.5, 0.5), ())],
)
def test_a_guide_acts_inside_its_window(tiny_base, window, expected):
    wanted, _ = texts(tiny_base, "a cat")
    spy, scheduler = Spy(), make_scheduler(tiny_base, "ddim", 10)
    denoise(tiny_base.denoiser, scheduler, normal((1, *SHAPE), 0), wanted, guide=spy, window=window)
    assert [index for index, _ in spy.seen] == list(expected)


@pytest.mark.parametrize("through_unet", [False, True])
def test_a_graph_is_kept_only_for_a_guide_that_differentiates(tiny_base, through_unet):
    wanted, _ = texts(tiny_base, "a cat")
    spy, latents = Spy(through_unet), normal((1, *SHAPE), 0)
    drawn = denoise(
        tiny_base.denoiser, make_scheduler(tiny_base, "ddim", 2), latents, wanted, guide=spy
    )
    assert spy.seen == [(0, through_unet), (1, through_unet)]
    assert not drawn.requires_grad
    plain = denoise(tiny_base.denoiser, make_scheduler(tiny_base, "ddim", 2), latents, wanted)
    assert torch.equal(drawn, plain)


@pytest.mark.parametrize("name", SCHEDULERS)
def test_every_scheduler_is_led_by_what_alignment_and_guide_leave(any_base, name):
    """They leave the same x0 at every step, and the last step of every solver arrives there."""
    wanted, _ = texts(any_base, "a cat")
    aligned, guided = normal((2, 1, *SHAPE), 6)
    asked = []

    class Towards:
        through_unet = False

        def __call__(self, z, x0, step):
            asked.append(torch.equal(x0, aligned))
            return z, guided

    shown = []
    clean = denoise(
        any_base.denoiser, make_scheduler(any_base, name, 4), normal((1, *SHAPE), 7), wanted,
        align=lambda x0: aligned, guide=Towards(), generators=[keyed_generator(0)],
        on_step=lambda index, x0: shown.append((index, torch.equal(x0, guided))),
    )  # fmt: skip
    assert asked == [True] * 4
    assert shown == [(index, True) for index in range(4)]
    assert (clean - guided).square().mean() < 0.02 * normal((1, *SHAPE), 7).square().mean()


def test_guidance_by_the_prompt_has_a_window(tiny_base):
    """With the negative prompt inside it, with the prompt alone before and after."""
    sizes = []

    def network(z, timestep, conditioning):
        sizes.append(len(z))
        return tiny_base.network(z, timestep, conditioning)

    wanted, negative = texts(tiny_base, "a cat")
    denoiser = with_cfg(replace(tiny_base.denoiser, network=network), negative, CFG, (0.2, 0.6))
    denoise(denoiser, make_scheduler(tiny_base, "ddim", 10), normal((1, *SHAPE), 0), wanted)
    assert sizes == [1] * 2 + [2] * 4 + [1] * 4


def test_a_start_in_the_middle_takes_the_steps_that_are_left(any_base):
    """Latents noised to the level of a step go on from there, as in img2img."""
    wanted, _ = texts(any_base, "a cat")
    clean, noise = normal((2, 1, *SHAPE), 8)
    bars, shown = alpha_bars(any_base), []
    scheduler = make_scheduler(any_base, "ddim", 5)
    begun = noised_at(clean, noise, scheduler, 3)
    bar = bars[times_of(any_base, 5)[3]]
    expected = bar.sqrt() * clean + (1 - bar).sqrt() * noise
    torch.testing.assert_close(begun, expected.float(), atol=1e-5, rtol=1e-4)
    denoise(
        any_base.denoiser, scheduler, begun, wanted, start=3, on_step=lambda i, _: shown.append(i)
    )
    assert shown == [3, 4]
    assert torch.equal(noised_at(clean, noise, scheduler, 5), clean)


# --- plain pictures ---------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["ddim", "lcm"])
def test_an_image_depends_on_its_prompt_and_seed_only(tiny_base, name):
    prompts, seeds = ["a cat", "a dog", "a red car"], [1, 2, 3]
    together = draw_pictures(tiny_base, prompts, (), seeds, 3, CFG, scheduler=name, batch_size=3)
    assert together.shape == (3, 3, 64, 64)
    assert together.min() >= 0 and together.max() <= 1
    alone = draw_pictures(tiny_base, prompts[2:], (), seeds[2:], 3, CFG, scheduler=name)
    assert torch.allclose(together[2:], alone, atol=1e-5)
    assert not torch.allclose(together[:1], together[2:], atol=1e-3)


def test_a_picture_may_have_another_size(tiny_base):
    drawn = draw_pictures(tiny_base, ["a cat"], (), [0], 1, 1.0, size=32)
    assert drawn.shape == (1, 3, 32, 32)
