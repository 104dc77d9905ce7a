"""The reference: a photo, or drawn from a prompt or with a concept."""

import torch
from torch import Tensor

from ..models.base import BaseModel
from ..models.denoising import denoise, make_scheduler
from ..models.photos import load_photo, photo_path
from ..models.randomness import keyed_generator, normal
from .engine import Engine
from .plan import MosaicPlan
from .regional import regional_denoiser, regional_texts
from .subjects import Subject

LONGEST = 3  # longer side of a reference in shorter ones: what a small mosaic still shows
ROUND = 8  # latent pixels that the network's levels halve without rest


def reference_picture(engine: Engine, plan: MosaicPlan, noise: Tensor | None) -> Tensor:
    """The reference [3, H, W] in [0, 1], of any size: the photo, or drawn from `noise`."""
    if noise is None:
        return load_photo(photo_path(plan.settings.mosaic.picture.ref))
    return draw_reference(engine, plan, noise)


def reference_noise(base: BaseModel, seed: int, size: tuple[int, int] | None = None) -> Tensor:
    """Initial noise [C, h, w] of a reference that smalti draws; the tiles' field comes from it.

    size: (h, w) in latent pixels, the base's own without it.
    """
    side = base.resolution // base.latent_factor
    return normal((base.latent_channels, *(size or (side, side))), seed, "reference")


def planned_noise(base: BaseModel, plan: MosaicPlan) -> Tensor:
    """The initial noise of a plan's reference.

    One of several concepts has the mosaic's aspect: side by side in a wide picture, each has the
    square that the base draws best. Any other is a square of the base's own size.
    """
    picture, grid = plan.settings.mosaic.picture, plan.grid
    if plan.cast.company(picture.ref_prompt) is None:
        return reference_noise(base, picture.seed)
    side = base.resolution // base.latent_factor
    shorter = min(grid.rows, grid.cols)
    tall, wide = (
        max(side, round(side * min(count / shorter, LONGEST) / ROUND) * ROUND)
        for count in (grid.rows, grid.cols)
    )
    return reference_noise(base, picture.seed, (tall, wide))


@torch.no_grad()
def draw_reference(engine: Engine, plan: MosaicPlan, noise: Tensor) -> Tensor:
    """Draw the reference [3, H, W] in [0, 1] of initial noise [C, h, w]."""
    mosaic, base = plan.settings.mosaic, engine.base
    picture, sampler = mosaic.picture, mosaic.sampler
    engine.choose_attention(mosaic)
    cast, prompt = plan.cast, picture.ref_prompt
    scale, size = picture.reference_cfg_scale, noise.shape[-2:]
    if company := cast.company(prompt):
        shown = regional_texts(engine, company, [prompt], picture.lora_scale)[prompt]
        guided = regional_denoiser(engine, mosaic, company, size, scale=scale)
    else:
        subject = cast.show(Subject("".join(picture.ref_lora[:1]), prompt))
        path = plan.adapters.get(subject.concept)
        words = picture.ref_trigger or (engine.adapter(path).trigger if path else "")
        said = cast.spoken(prompt, words)
        guided = engine.guided(mosaic, path, scale=scale)
        shown = engine.encode([said], path, picture.lora_scale)[said]
        engine.activate(path, picture.lora_scale)
    clean = denoise(
        guided,
        make_scheduler(base, sampler.scheduler, max(sampler.steps, picture.reference_steps)),
        noise[None],
        shown,
        generators=[keyed_generator(picture.seed, "reference", "steps")],
    )
    return base.decode(clean)[0].clamp(0, 1).cpu()
