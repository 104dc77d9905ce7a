"""Pictures of a concept's class, drawn by the base before training and kept in the work folder.

They lie in `.training/class-<key>/0000.png`, ...; the key depends on everything that they do. What
is there is not drawn again, so that drawing goes on where it was cut off.
"""

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from ..configs.progress import Report, silent
from ..configs.settings import TrainSettings
from ..models.base import BaseModel
from ..models.denoising import draw_pictures
from ..models.edlora import Adapter, set_active
from ..models.photos import load_photo
from ..models.pixels import to_pixels, write_png
from .batch import Batch, positions
from .identity import digest
from .run import Run
from .samples import draw_sample

TOGETHER = 8  # drawn at once, and again if one of them is missing
STEPS = 10
CFG_SCALE = 7.5
SCHEDULER = "dpm++"


@dataclass(frozen=True)
class PriorSet:
    """Encoded pictures of the class."""

    latents: Tensor
    """[N, C, h, w], scaled, fp32 on the CPU."""
    prompt: str
    """What they show, as it is said in every step."""


def build_priors(
    base: BaseModel, adapter: Adapter, settings: TrainSettings, work: Path, report: Report = silent
) -> PriorSet:
    """Draw what is missing of the class pictures, and encode all of them."""
    prompt = f"a {settings.class_word}"
    folder = work / f"class-{_key(base, prompt)}"
    paths = [folder / f"{n:04d}.png" for n in range(settings.class_pictures)]
    set_active(base, ())
    try:
        for start in range(0, len(paths), TOGETHER):
            own = paths[start : start + TOGETHER]
            if not all(path.is_file() for path in own):
                _draw(base, prompt, start, own)
            report(start + len(own), len(paths), "drawing the class")
    finally:
        set_active(base, [adapter.name])
    latents = [base.encode(load_photo(path)[None]).cpu() for path in paths]
    return PriorSet(torch.cat(latents), prompt)


def _key(base: BaseModel, prompt: str) -> str:
    drawing = [STEPS, CFG_SCALE, SCHEDULER, base.resolution, str(base.dtype)]
    return digest([base.fingerprint, base.vae_fingerprint, prompt, *drawing])[:8]


def _draw(base: BaseModel, prompt: str, start: int, paths: list[Path]) -> None:
    """Draw pictures `start` and on; a picture's number is its seed."""
    seeds = range(start, start + len(paths))
    pictures = draw_pictures(
        base, [prompt] * len(paths), [], seeds, STEPS, CFG_SCALE, scheduler=SCHEDULER
    )
    for path, picture in zip(paths, pictures, strict=True):
        write_png(path, to_pixels(picture), {})


def prior_batch(run: Run, micro: int) -> Batch:
    """As many pictures of the class as micro-batch `micro` has of the concept."""
    settings, prior, device = run.settings, run.prior, run.base.device
    assert prior is not None, "the method keeps the class"
    samples = [
        draw_sample(
            settings.seed,
            position,
            images=len(prior.latents),
            crops=1,
            shape=prior.latents.shape[1:],
            noise_offset=settings.noise_offset,
            timestep_weights=run.base.denoiser.timestep_weights(settings.min_snr_gamma),
            stream="prior",
        )
        for position in positions(run, micro)
    ]
    latents = prior.latents[torch.tensor([sample.image for sample in samples])].to(device)
    whole = torch.ones_like(latents[:, :1])
    return Batch(
        latents=latents,
        noise=torch.stack([sample.noise for sample in samples]).to(device),
        timesteps=torch.tensor([sample.timestep for sample in samples]).to(device),
        subject=whole,
        padding=whole,
        has_mask=torch.zeros(len(samples), dtype=torch.bool, device=device),
        prompts=[prior.prompt] * len(samples),
    )
