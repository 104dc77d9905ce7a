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
from .together import Cast


def reference_picture(engine: Engine, plan: MosaicPlan, noise: Tensor | None) -> Tensor:
    """The reference [3, H, W] in [0, 1], of any size: the photo, or drawn from `noise`."""
    if noise is None:
        return load_photo(photo_path(plan.settings.mosaic.picture.ref))
    return draw_reference(engine, plan, noise)


def reference_noise(base: BaseModel, seed: int) -> Tensor:
    """Initial noise [C, h, w] of a reference that smalti draws; the tiles' field comes from it."""
    side = base.resolution // base.latent_factor
    return normal((base.latent_channels, side, side), seed, "reference")


@torch.no_grad()
def draw_reference(engine: Engine, plan: MosaicPlan, noise: Tensor) -> Tensor:
    """Draw the reference [3, H, W] in [0, 1] at the base's own resolution."""
    mosaic, base = plan.settings.mosaic, engine.base
    picture, sampler = mosaic.picture, mosaic.sampler
    engine.choose_attention(mosaic)
    cast, prompt = Cast(plan.adapters, picture.region), picture.ref_prompt
    scale, size = picture.reference_cfg_scale, noise.shape[-2:]
    if company := cast.company(prompt):
        shown = regional_texts(engine, company, [prompt], picture.lora_scale)[prompt]
        guided = regional_denoiser(engine, mosaic, company, size, scale=scale)
    else:
        subject = cast.show(Subject("".join(picture.ref_lora[:1]), prompt))
        path = plan.adapters.get(subject.concept)
        words = engine.adapter(path).trigger if path else ""
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
