"""The reference: a photo, or drawn from a prompt or with a concept."""

import torch
from torch import Tensor

from ..models.base import BaseModel
from ..models.denoising import denoise, make_scheduler
from ..models.photos import load_photo, photo_path
from ..models.randomness import keyed_generator, normal
from ..models.words import CONCEPT
from .engine import Engine
from .plan import MosaicPlan


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
    path = plan.adapters.get(picture.ref_lora)
    words = picture.ref_trigger or (engine.adapter(path).trigger if path else "")
    prompt = picture.ref_prompt.replace(CONCEPT, words)
    guided = engine.guided(mosaic, path, scale=picture.reference_cfg_scale)
    shown = engine.encode([prompt], path, picture.lora_scale)[prompt]
    engine.activate(path, picture.lora_scale)
    clean = denoise(
        guided,
        make_scheduler(base, sampler.scheduler, max(sampler.steps, picture.reference_steps)),
        noise[None],
        shown,
        generators=[keyed_generator(picture.seed, "reference", "steps")],
    )
    return base.decode(clean)[0].clamp(0, 1).cpu()
