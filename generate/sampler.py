"""The denoising loop: predict x0, align colour, guide, step. The whole algorithm is in `sample`."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Generator, Tensor

from ..models.base import BaseModel
from ..models.conditioning import encode_prompts
from .color import Align
from .guidance import Guide, Step
from .noise import keyed_generator, normal

OnStep = Callable[[int, Tensor], None]
"""Called after a denoising step with its index and predicted clean latents [K, C, h, w]."""

MIN_ALPHA = 2.0**-12  # diffusers' own floor where a schedule ends at zero signal


def sample(
    base: BaseModel,
    text: Tensor,
    negative: Tensor | None,
    latents: Tensor,
    scheduler: Any,
    *,
    cfg_scale: float,
    cfg_window: tuple[float, float] = (0.0, 1.0),
    align: Align | None = None,
    guide: Guide | None = None,
    residuals: Sequence[Tensor] = (),
    window: tuple[float, float] = (0.0, 1.0),
    generators: Sequence[Generator] | None = None,
    start: int = 0,
    on_step: OnStep | None = None,
) -> Tensor:
    """Denoise latents [K, C, h, w] to clean ones (paper, section 3; DDIM or a faster solver).

    text, negative: [K, L, 77, D]; without `negative` there is no classifier-free guidance, nor
    outside the shares `cfg_window` of the steps (Kynkäänniemi et al. 2024). `guide` acts between
    the shares `window`. scheduler: from `make_scheduler`. align: Eq. 3-5. guide: Eq. 6-8.
    residuals: what a T2I-Adapter adds at the UNet's levels, from [K, C, h, w] down.
    generators: one per tile, for schedulers that add noise ("lcm"). start: index of the first step;
    latents have its level of noise. on_step(i, x0) is called after step i with its prediction of
    clean latents, as colour and guidance left it.
    """
    z = latents.to(base.device)
    for index, t in list(enumerate(scheduler.timesteps))[start:]:
        step = describe_step(base, scheduler, index)
        guiding = guide if step.within(*window) else None
        through_unet = guiding is not None and guiding.through_unet
        with torch.set_grad_enabled(through_unet):
            z = z.detach().requires_grad_(through_unet)
            without = negative if step.within(*cfg_window) else None
            output = predict(base, z, t, text, without, cfg_scale, residuals)
            x0 = clean_latents(base.prediction_type, output, z, step)
            if align is not None:
                x0 = align(x0)
        if guiding is not None:
            z, x0 = guiding(z, x0, step)
        z, x0 = z.detach(), x0.detach()
        z = scheduler.step(x0, t, z, **_noise_options(scheduler, generators)).prev_sample
        if on_step is not None:
            on_step(index, x0)
    return z


def predict(
    base: BaseModel,
    z: Tensor,
    t: Tensor,
    text: Tensor,
    negative: Tensor | None,
    cfg_scale: float,
    residuals: Sequence[Tensor] = (),
) -> Tensor:
    """The UNet's output [K, C, h, w] with classifier-free guidance, in one batched call."""
    if negative is not None:
        z, text = torch.cat([z, z]), torch.cat([negative, text])
        residuals = [torch.cat([part, part]) for part in residuals]
    output = base.unet(
        z.to(base.dtype),
        t,
        encoder_hidden_states=text.to(base.dtype),
        down_intrablock_additional_residuals=list(residuals) or None,  # the UNet empties the list
    ).sample.to(z.dtype)
    if negative is None:
        return output
    without, with_text = output.chunk(2)
    return without + cfg_scale * (with_text - without)


def add_noise(base: BaseModel, clean: Tensor, noise: Tensor, scheduler: Any, start: int) -> Tensor:
    """Clean latents [K, C, h, w] at the noise level of the scheduler's step `start`.

    After the last step there is no noise.
    """
    clean = clean.to(base.device)
    if start == len(scheduler.timesteps):
        return clean
    step = describe_step(base, scheduler, start)
    return step.alpha * clean + step.sigma * noise.to(clean)


def clean_latents(prediction_type: str, output: Tensor, z: Tensor, step: Step) -> Tensor:
    """Predicted clean latents x0 of z_t (Eq. 6; Salimans & Ho 2022 for v).

    With zero-terminal SNR the first alpha is 0: v needs no division, eps gets diffusers' floor.
    """
    if prediction_type == "v_prediction":
        return step.alpha * z - step.sigma * output
    if prediction_type == "sample":
        return output
    return (z - step.sigma * output) / max(step.alpha, MIN_ALPHA)


def describe_step(base: BaseModel, scheduler: Any, index: int) -> Step:
    """Levels of signal and noise at the scheduler's step `index`, and what follows from them."""
    timestep = int(scheduler.timesteps[index])
    alpha_bar = float(scheduler.alphas_cumprod[timestep])
    alpha = alpha_bar**0.5
    carry = {"v_prediction": alpha, "sample": 0.0}.get(
        base.prediction_type, 1 / max(alpha, MIN_ALPHA)
    )
    count = len(scheduler.timesteps)
    return Step(index, count, timestep, alpha, (1 - alpha_bar) ** 0.5, carry)


def make_scheduler(base: BaseModel, name: str, steps: int) -> Any:
    """A fresh scheduler with its timesteps set, which takes x0 where others take eps or v.

    The loop turns every prediction into x0 itself, because x0 is what colour and guidance act on;
    all of diffusers' schedulers accept it as prediction_type "sample".
    """
    plain = base.scheduler(name)
    scheduler = type(plain).from_config(plain.config, prediction_type="sample")
    scheduler.set_timesteps(steps)
    return scheduler


def _noise_options(scheduler: Any, generators: Sequence[Generator] | None) -> dict[str, Any]:
    """LCM draws fresh noise at every step; the other schedulers are deterministic."""
    adds_noise = type(scheduler).__name__ == "LCMScheduler"
    return {"generator": list(generators)} if adds_noise and generators is not None else {}


@torch.no_grad()
def draw(
    base: BaseModel,
    prompts: Sequence[str],
    adapters: Sequence[Any],
    seeds: Sequence[int],
    steps: int,
    cfg_scale: float,
    *,
    negative_prompt: str = "",
    scheduler: str = "ddim",
    size: int = 0,
    batch_size: int = 8,
) -> Tensor:
    """Plain images [K, 3, H, W] in [0, 1] (CPU), one per prompt and seed; no mosaic involved.

    prompts: `<concept>` is already replaced by trigger words. adapters: those whose words the
    prompts may contain; which of them are active, and how strongly, is the caller's `set_active`.
    size: side in pixels, 0 for the base's resolution. An image depends on its prompt and seed only.
    """
    side = (size or base.resolution) // base.latent_factor
    shape = (base.latent_channels, side, side)
    images = []
    for start in range(0, len(prompts), batch_size):
        part = list(prompts[start : start + batch_size])
        part_seeds = seeds[start : start + batch_size]
        text, negative = encode_pair(base, part, adapters, negative_prompt, cfg_scale)
        latents = torch.stack([normal(shape, seed, "draw") for seed in part_seeds])
        clean = sample(
            base,
            text,
            negative,
            latents,
            make_scheduler(base, scheduler, steps),
            cfg_scale=cfg_scale,
            generators=[keyed_generator(seed, "draw", "steps") for seed in part_seeds],
        )
        images.append(base.decode(clean).clamp(0, 1).float().cpu())
    return torch.cat(images)


def encode_pair(
    base: BaseModel,
    prompts: list[str],
    adapters: Sequence[Any],
    negative_prompt: str,
    cfg_scale: float,
) -> tuple[Tensor, Tensor | None]:
    """Text [K, L, 77, D] of prompts and of the negative prompt; None where CFG is off (scale 1)."""
    text = encode_prompts(base, prompts, adapters)
    if cfg_scale == 1:
        return text, None
    return text, encode_prompts(base, [negative_prompt], adapters).expand_as(text)
