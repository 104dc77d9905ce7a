"""The sampler against stock diffusers; guided runs against a loop written only for the test."""

import math

import pytest
import torch
from tiny import stock_pipeline

from smalti.configs.settings import SCHEDULERS
from smalti.generate.color import latent_alignment
from smalti.generate.guidance import ExactGuide, LowPass, Step
from smalti.generate.noise import keyed_generator
from smalti.generate.sampler import clean_latents, draw, encode_pair, make_scheduler, sample
from smalti.models.conditioning import fold

CFG = 4.0


def texts(base, prompts):
    with torch.no_grad():
        return encode_pair(base, list(prompts), (), "a black dog", CFG)


@pytest.mark.parametrize("name", ["ddim", "dpm++", "unipc"])
def test_without_guidance_it_is_the_stock_pipeline(any_base, name):
    base = any_base
    text, negative = texts(base, ["a cat", "a red car"])
    latents = torch.randn(2, 4, 8, 8, generator=keyed_generator(3))
    ours = sample(base, text, negative, latents, make_scheduler(base, name, 6), cfg_scale=CFG)
    pipeline = stock_pipeline(base, name)
    theirs = pipeline(
        prompt_embeds=fold(text),
        negative_prompt_embeds=fold(negative),
        latents=latents,
        num_inference_steps=6,
        guidance_scale=CFG,
        output_type="latent",
    ).images
    assert torch.allclose(ours, theirs, atol=2e-4, rtol=1e-3)


def alpha_bars(base):
    """SD's scaled-linear schedule from its definition, zero-terminal as Lin et al. rescale it."""
    betas = torch.linspace(0.00085**0.5, 0.012**0.5, 1000, dtype=torch.float64) ** 2
    bars = torch.cumprod(1 - betas, 0)
    if base.prediction_type == "v_prediction":
        root = bars.sqrt()
        bars = ((root - root[-1]) * root[0] / (root[0] - root[-1])) ** 2
    return bars


def reference_loop(base, text, negative, z, block, *, steps, weight, decay, size, sigma, color):
    """One tile, unbatched: the paper's equations and DDIM's, written out."""
    bars = alpha_bars(base)
    stride = 1000 // steps
    if base.prediction_type == "v_prediction":
        times = [999 - i * stride for i in range(steps)]  # trailing
    else:
        times = [(steps - 1 - i) * stride + 1 for i in range(steps)]  # leading, offset 1
    at = range(size)
    blur = torch.tensor([[math.exp(-((i - j) ** 2) / 2 / sigma**2) for j in at] for i in at])
    blur = blur / blur.sum(1, keepdim=True)

    def low(image):
        side = image.shape[-1] // size
        small = image.reshape(1, 3, size, side, size, side).mean((3, 5))
        return torch.einsum("ih,nchw,jw->ncij", blur, small, blur)

    scale = base.vae.config.scaling_factor
    big = torch.nn.functional.interpolate(block, size=64, mode="bicubic")
    code = base.vae.encode(big.clamp(0, 1) * 2 - 1).latent_dist.mean * scale
    w = weight
    for t in times:
        a2, before = bars[t], bars[t - stride] if t >= stride else None
        if before is None:
            before = bars[0]  # set_alpha_to_one is off
        a, s = a2.sqrt().item(), (1 - a2).sqrt().item()
        a_next, s_next = before.sqrt().item(), (1 - before).sqrt().item()
        z = z.detach().requires_grad_()
        none = base.unet(z, t, encoder_hidden_states=negative).sample
        some = base.unet(z, t, encoder_hidden_states=text).sample
        out = none + CFG * (some - none)
        raw = a * z - s * out if base.prediction_type == "v_prediction" else (z - s * out) / a
        x0 = raw
        if color:
            x0 = torch.empty_like(raw)
            for c in range(4):
                mu, sd = raw[0, c].mean(), raw[0, c].std(correction=0)
                x0[0, c] = code[0, c].mean() + code[0, c].std(correction=0) * (raw[0, c] - mu) / sd
        image = base.vae.decode(x0 / scale).sample / 2 + 0.5
        mse = (low(image) - low(block)).square().mean()
        z_new = z - w * (64 / 9216) * torch.autograd.grad(mse, z)[0]
        w = decay * w
        z_new, z, out, shift = z_new.detach(), z.detach(), out.detach(), (x0 - raw).detach()
        if base.prediction_type == "v_prediction":
            x0, eps = a * z_new - s * out, a * out + s * z_new
        else:
            x0, eps = (z_new - s * out) / a, out
        x0, eps = x0 + shift, eps - a / s * shift  # z = a x0 + s eps keeps holding
        z = a_next * x0 + s_next * eps
    return z


@pytest.mark.parametrize("color", [False, True])
def test_guided_steps_against_the_equations_written_out(any_base, color):
    base = any_base
    text, negative = texts(base, ["a cat", "a dog"])
    z = torch.randn(2, 4, 8, 8, generator=keyed_generator(4))
    blocks = torch.rand(2, 3, 16, 16, generator=keyed_generator(5))
    weight, decay, steps = 4e4, 0.8, 4
    guide = ExactGuide(base, blocks, weight=weight, decay=decay, low_pass=LowPass(16, 1.5))
    align = latent_alignment(base, blocks, 64) if color else None

    def run(guide):
        scheduler = make_scheduler(base, "ddim", steps)
        options = {"cfg_scale": CFG, "align": align, "guide": guide}
        return sample(base, text, negative, z, scheduler, **options)

    ours, plain = run(guide), run(None)
    for k in range(2):
        one = slice(k, k + 1)
        theirs = reference_loop(
            base, text[one], negative[one], z[one], blocks[one],
            steps=steps, weight=weight, decay=decay, size=16, sigma=1.5, color=color,
        )  # fmt: skip
        assert torch.allclose(ours[one], theirs, atol=2e-3, rtol=2e-3)
    assert (ours - plain).abs().max() > 0.1, "the guide must matter here"


def test_guidance_lowers_the_error_it_descends(any_base):
    base = any_base
    text, negative = texts(base, ["a cat"])
    z = torch.randn(1, 4, 8, 8, generator=keyed_generator(6))
    block = torch.rand(1, 3, 4, 4, generator=keyed_generator(7)).repeat_interleave(4, 2)
    block = block.repeat_interleave(4, 3)
    guide = ExactGuide(base, block, weight=5e5, decay=1.0, low_pass=LowPass(16, 2.0))

    def error(guide_used):
        scheduler = make_scheduler(base, "ddim", 8)
        clean = sample(base, text, negative, z, scheduler, cfg_scale=CFG, guide=guide_used)
        return guide.error(clean).item()

    assert error(guide) < 0.99 * error(None)


@pytest.mark.parametrize("kind", ["epsilon", "v_prediction", "sample"])
def test_clean_latents_recover_x0_from_a_perfect_prediction(kind):
    x0, eps = torch.randn(2, 1, 4, 8, 8)
    step = Step(0, 1, 500, alpha=0.6, sigma=0.8, carry=0.0)
    z = 0.6 * x0 + 0.8 * eps
    output = {"epsilon": eps, "v_prediction": 0.6 * eps - 0.8 * x0, "sample": x0}[kind]
    assert torch.allclose(clean_latents(kind, output, z, step), x0, atol=1e-5)


@pytest.mark.parametrize("kind", ["epsilon", "v_prediction", "sample"])
def test_zero_terminal_snr_stays_finite(kind):
    step = Step(0, 1, 999, alpha=0.0, sigma=1.0, carry=0.0)
    out = clean_latents(kind, torch.randn(1, 4, 8, 8), torch.randn(1, 4, 8, 8), step)
    assert out.isfinite().all()


@pytest.mark.parametrize("name", SCHEDULERS)
def test_every_scheduler_draws_finite_guided_tiles(any_base, name):
    base = any_base
    text, negative = texts(base, ["a cat"])
    blocks = torch.rand(1, 3, 16, 16)
    guide = ExactGuide(base, blocks, weight=5000, decay=0.95, low_pass=LowPass(16, 2.0))
    clean = sample(
        base,
        text,
        negative,
        torch.randn(1, 4, 8, 8),
        make_scheduler(base, name, 4),
        cfg_scale=CFG,
        align=latent_alignment(base, blocks, 64),
        guide=guide,
        generators=[keyed_generator(0)],
    )
    assert clean.isfinite().all()


@pytest.mark.parametrize("name", ["ddim", "lcm"])
def test_an_image_depends_on_its_prompt_and_seed_only(tiny_base, name):
    prompts, seeds = ["a cat", "a dog", "a red car"], [1, 2, 3]
    together = draw(tiny_base, prompts, (), seeds, 3, CFG, scheduler=name, batch_size=3)
    assert together.shape == (3, 3, 64, 64)
    assert together.min() >= 0 and together.max() <= 1
    alone = draw(tiny_base, prompts[2:], (), seeds[2:], 3, CFG, scheduler=name)
    assert torch.allclose(together[2:], alone, atol=1e-5)
    assert not torch.allclose(together[:1], together[2:], atol=1e-3)


def test_scale_one_needs_no_second_pass(tiny_base, monkeypatch):
    sizes = []
    forward = tiny_base.unet.forward
    monkeypatch.setattr(
        tiny_base.unet, "forward", lambda z, *a, **k: (sizes.append(len(z)), forward(z, *a, **k))[1]
    )
    draw(tiny_base, ["a cat"], (), [0], 2, 1.0)
    draw(tiny_base, ["a cat"], (), [0], 2, 2.0)
    assert sizes == [1, 1, 2, 2]


class Spy:
    """A guide that changes nothing and remembers the steps at which it was asked."""

    through_unet = False

    def __init__(self):
        self.seen = []

    def __call__(self, z, x0, step):
        self.seen.append(step.index)
        return z, x0


@pytest.mark.parametrize(
    ("window", "expected"),
    [((0.0, 1.0), range(10)), ((0.3, 1.0), range(3, 10)), ((0.0, 0.6), range(6)), ((0.5, 0.5), ())],
)
def test_a_guide_acts_inside_its_window(tiny_base, window, expected):
    text, _ = texts(tiny_base, ["a cat"])
    spy, scheduler = Spy(), make_scheduler(tiny_base, "ddim", 10)
    sample(
        tiny_base, text, None, torch.randn(1, 4, 8, 8), scheduler,
        cfg_scale=1.0, guide=spy, window=window,
    )  # fmt: skip
    assert spy.seen == list(expected)


def test_guidance_by_the_prompt_has_a_window(tiny_base, monkeypatch):
    """With the negative prompt inside it, with the prompt alone before and after."""
    sizes, forward = [], tiny_base.unet.forward
    monkeypatch.setattr(
        tiny_base.unet, "forward", lambda z, *a, **k: (sizes.append(len(z)), forward(z, *a, **k))[1]
    )
    text, negative = texts(tiny_base, ["a cat"])
    z = torch.randn(1, 4, 8, 8)
    scheduler = make_scheduler(tiny_base, "ddim", 10)
    sample(tiny_base, text, negative, z, scheduler, cfg_scale=CFG, cfg_window=(0.2, 0.6))
    assert sizes == [1] * 2 + [2] * 4 + [1] * 4
