"""Which crop, caption, timestep and noise each sample gets: a pure function of (seed, position).

Position counts the run's samples over steps, micro-batches and processes. So a resumed
run, gradient accumulation and several processes all see the samples that one long run at full batch
size would see.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from ..models.randomness import keyed_generator


@dataclass(frozen=True)
class Sample:
    """What one training sample is made of."""

    image: int
    """Index of the image."""
    crop: int
    """Which of its cached crops."""
    light: int
    """0 for the crop as it is, else which of its relit copies, from 1."""
    timestep: int
    """Diffusion time, 0 to T - 1."""
    noise: torch.Tensor
    """[C, h, w], unit normal plus the offset."""


def image_at(seed: int, position: int, images: int) -> int:
    """Return the image of a position; every epoch is a fresh permutation of all images."""
    epoch, place = divmod(position, images)
    return int(torch.randperm(images, generator=keyed_generator(seed, "epoch", epoch))[place])


def draw_sample(
    seed: int,
    position: int,
    *,
    images: int,
    crops: int,
    shape: Sequence[int],
    noise_offset: float,
    timestep_weights: torch.Tensor,
    lights: int = 0,
    stream: str = "sample",
) -> Sample:
    """Return the sample at a position.

    `shape` is (C, h, w) of a latent; timestep t comes in proportion to `timestep_weights[t]` of
    [T]; with `lights` it is one of so many relit copies. `stream` tells sets of images apart.
    """
    generator = keyed_generator(seed, stream, position)
    crop = int(torch.randint(crops, (1,), generator=generator))
    timestep = int(torch.multinomial(timestep_weights, 1, generator=generator))
    noise = torch.randn(tuple(shape), generator=generator)
    # A constant per channel teaches overall brightness (Guttenberg 2023, offset noise).
    noise = noise + noise_offset * torch.randn((shape[0], 1, 1), generator=generator)
    light = 1 + int(torch.randint(lights, (1,), generator=generator)) if lights else 0
    return Sample(image_at(seed, position, images), crop, light, timestep, noise)


def relit_at(seed: int, step: int, share: float) -> bool:
    """Whether a step shows relit copies; all samples or none, as they share the step's prompt."""
    return float(torch.rand((), generator=keyed_generator(seed, "relit", step))) < share


def template_at(seed: int, step: int, templates: Sequence[str]) -> str:
    """Return the step's template; one for all samples, as every prompt costs L text passes."""
    return templates[
        int(torch.randint(len(templates), (1,), generator=keyed_generator(seed, "template", step)))
    ]
