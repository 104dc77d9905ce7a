"""Put together what a step trains on: latents, noise, timesteps, masks and prompts."""

from dataclasses import dataclass

import torch
from torch import Tensor

from .lighting import RELIT
from .run import Run
from .samples import Sample, draw_sample, relit_at, template_at
from .templates import caption_templates, fill


@dataclass(frozen=True)
class Batch:
    """One micro-batch on the base's device; [B, ...], fp32."""

    latents: Tensor
    noise: Tensor
    timesteps: Tensor
    subject: Tensor
    padding: Tensor
    has_mask: Tensor
    prompts: list[str]
    frames: Tensor | None = None
    """[B, 4], what each crop shows of its original, where that is known."""


def make_batch(run: Run, micro: int) -> Batch:
    """Put together micro-batch `micro` of the current step for this process."""
    data, device = run.data, run.base.device
    relit = relit_at(run.settings.seed, run.step, run.settings.relit_share)
    samples = draw_samples(run, micro, lights=data.lights if relit else 0)
    images, crops, lights = (
        torch.tensor([getattr(s, name) for s in samples]) for name in ("image", "crop", "light")
    )
    return Batch(
        latents=data.latents[images, crops, lights].to(device),
        noise=torch.stack([s.noise for s in samples]).to(device),
        timesteps=torch.tensor([s.timestep for s in samples]).to(device),
        subject=data.subject[images, crops].to(device),
        padding=data.padding[images, crops].to(device),
        has_mask=data.has_mask[images].to(device),
        prompts=prompts_of(run, samples, relit=relit),
        frames=None if data.frames is None else data.frames[images, crops].to(device),
    )


def draw_samples(run: Run, micro: int, *, lights: int) -> list[Sample]:
    """Draw this process's samples of a micro-batch from the run's one stream of samples."""
    settings, data = run.settings, run.data
    weights = run.base.denoiser.timestep_weights(settings.min_snr_gamma)
    return [
        draw_sample(
            settings.seed,
            position,
            lights=lights,
            images=data.images,
            crops=data.crops,
            shape=data.latents.shape[3:],
            noise_offset=settings.noise_offset,
            timestep_weights=weights,
        )
        for position in positions(run, micro)
    ]


def positions(run: Run, micro: int) -> range:
    """This process's places of micro-batch `micro` in the run's one stream of samples."""
    own = run.settings.batch_size
    share = run.accelerator.num_processes * own
    start = run.step * run.samples_per_step + micro * share + run.accelerator.process_index * own
    return range(start, start + own)


def prompts_of(run: Run, samples: list[Sample], *, relit: bool) -> list[str]:
    """Each sample's own caption, or else the step's template, with the concept's words in it."""
    settings = run.settings
    template = template_at(settings.seed, run.step, caption_templates(settings.class_word))
    ending = f", {RELIT}" if relit else ""
    captions = [run.data.captions[sample.image] or template for sample in samples]
    return [fill(c + ending, run.adapter.trigger, settings.class_word) for c in captions]
