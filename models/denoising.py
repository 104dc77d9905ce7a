"""The denoising loop: predict x0, align, guide, step. The whole algorithm is in `denoise`."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import torch
from torch import Generator, Tensor

from .denoiser import Conditioning, Denoises, with_cfg
from .prediction import NoiseLevel
from .randomness import keyed_generator, normal

if TYPE_CHECKING:
    from .base import BaseModel

OnStep = Callable[[int, Tensor], None]
"""Called after a denoising step with its index and predicted clean latents [K, C, h, w]."""
Align = Callable[[Tensor], Tensor]
"""Maps predicted clean latents [K, C, h, w] to ones nearer to what they should be."""


@dataclass(frozen=True)
class Step(NoiseLevel):
    """Where in the denoising process a guide is called."""

    index: int
    """0 for the first, noisiest step."""
    count: int
    """How many steps there are."""
    carry: float
    """d x0 / d z_t with the network's output held fixed: 1/alpha, alpha, 0 for eps, v, sample."""

    @property
    def share(self) -> float:
        """Where the middle of this step lies in the whole process, 0 to 1."""
        return (self.index + 0.5) / self.count

    def within(self, start: float, end: float) -> bool:
        """Whether the middle of this step lies between two shares of the whole process."""
        return start <= self.share <= end


class Guide(Protocol):
    """Pulls a batch of pictures towards their targets, between prediction and step."""

    through_unet: bool
    """Whether the guide differentiates x0 with respect to z_t; the loop then keeps the graph."""

    def __call__(self, z: Tensor, x0: Tensor, step: Step) -> tuple[Tensor, Tensor]:
        """Guided (z_t, x0) from noisy latents z and predicted clean latents x0, [K, C, h, w].

        With `through_unet`, z requires gradients and x0 depends on it. Samples of a batch must not
        influence each other.
        """
        ...


def denoise(
    denoiser: Denoises,
    scheduler: Any,
    latents: Tensor,
    conditioning: Conditioning,
    *,
    align: Align | None = None,
    guide: Guide | None = None,
    window: tuple[float, float] = (0.0, 1.0),
    generators: Sequence[Generator] | None = None,
    start: int = 0,
    on_step: OnStep | None = None,
) -> Tensor:
    """Denoise latents [K, C, h, w] to clean ones (paper, section 3; DDIM or a faster solver).

    scheduler: from `make_scheduler`. align: acts on every prediction (Eq. 3-5). guide: acts after
    it, between the shares `window` of the steps (Eq. 6-8). generators: one per sample, for
    schedulers that add noise ("lcm"). start: index of the first step; latents have its level of
    noise. on_step(i, x0) is called after step i with its prediction of clean latents, as alignment
    and guidance left it.
    """
    z = latents.to(conditioning.text.device)
    for index, t in list(enumerate(scheduler.timesteps))[start:]:
        step = describe_step(denoiser, scheduler, index)
        guiding = guide if step.within(*window) else None
        through_unet = guiding is not None and guiding.through_unet
        with torch.set_grad_enabled(through_unet):
            z = z.detach().requires_grad_(through_unet)
            x0 = denoiser(z, step, conditioning, step.share)
            x0 = x0 if align is None else align(x0)
        if guiding is not None:
            z, x0 = guiding(z, x0, step)
        z, x0 = z.detach(), x0.detach()
        z = scheduler.step(x0, t, z, **_noise_options(scheduler, generators)).prev_sample
        if on_step is not None:
            on_step(index, x0)
    return z


def describe_step(denoiser: Denoises, scheduler: Any, index: int) -> Step:
    """Levels of signal and noise at the scheduler's step `index`, and what follows from them."""
    level, count = noise_level(scheduler, index), len(scheduler.timesteps)
    return Step(**vars(level), index=index, count=count, carry=denoiser.carry(level))


def noise_level(scheduler: Any, index: int) -> NoiseLevel:
    """The noise level of a scheduler's step, by the scheduler's own schedule."""
    timestep = scheduler.timesteps[index]
    alpha_bar = float(scheduler.alphas_cumprod[int(timestep)])
    return NoiseLevel(timestep, alpha_bar**0.5, (1 - alpha_bar) ** 0.5)


def noised_at(clean: Tensor, noise: Tensor, scheduler: Any, start: int) -> Tensor:
    """Clean latents [K, C, h, w] at the noise level of the scheduler's step `start`.

    After the last step there is no noise.
    """
    if start == len(scheduler.timesteps):
        return clean
    return noise_level(scheduler, start).noised(clean, noise.to(clean))


def make_scheduler(base: "BaseModel", name: str, steps: int) -> Any:
    """A fresh scheduler with its timesteps set, which takes x0 where others take eps or v.

    The denoiser turns every prediction into x0 itself, because x0 is what colour and guidance act
    on; all of diffusers' schedulers accept it as prediction_type "sample".
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
def draw_pictures(
    base: "BaseModel",
    prompts: Sequence[str],
    adapters: Sequence[Any],
    seeds: Sequence[int],
    steps: int,
    cfg_scale: float,
    *,
    negative_prompt: str = "",
    scheduler: str = "ddim",
    size: int | None = None,
    batch_size: int = 8,
) -> Tensor:
    """Plain images [K, 3, H, W] in [0, 1] (CPU), one per prompt and seed; no mosaic involved.

    prompts: `<concept>` is already replaced by trigger words. adapters: those whose words the
    prompts may contain; which of them are active, and how strongly, is the caller's `set_active`.
    size: side in pixels, None for the base's resolution. An image depends on its prompt and seed
    only.
    """
    side = (size or base.resolution) // base.latent_factor
    shape = (base.latent_channels, side, side)
    images = []
    for start in range(0, len(prompts), batch_size):
        part, part_seeds = (values[start : start + batch_size] for values in (prompts, seeds))
        negative = base.encode_text([negative_prompt], adapters)
        clean = denoise(
            with_cfg(base.denoiser, negative, cfg_scale),
            make_scheduler(base, scheduler, steps),
            torch.stack([normal(shape, seed, "draw") for seed in part_seeds]),
            base.encode_text(list(part), adapters),
            generators=[keyed_generator(seed, "draw", "steps") for seed in part_seeds],
        )
        images.append(base.decode(clean).clamp(0, 1).float().cpu())
    return torch.cat(images)
