"""A measured pull on three bases whose autoencoder, tiles and obedience differ, really denoised.

Each knows one picture per tile, t, and takes every tile for a Gaussian around it: from noisy
latents z it predicts the posterior's mean, which is exact. The guide is the real one, and what a
pull leaves is whatever this denoiser makes of it.
"""

from dataclasses import dataclass

import pytest
import torch
from linear_base import MATRIX, LinearBase
from pulling import TARGET, Law, clouds, found, job_of
from tiny import make_scheduler as tiny_scheduler

from smalti.generate.guidance.projection import ProjectionGuide
from smalti.generate.pull import waves
from smalti.generate.store import Store
from smalti.models.denoiser import Conditioning
from smalti.models.denoising import denoise, make_scheduler
from smalti.models.randomness import normal


@dataclass(frozen=True)
class Kind:
    """What a base is like."""

    contrast: float
    """Deviation of its tiles' latents."""
    obedience: float
    """Variance that it grants a tile around its picture."""
    bend: float = 0.0
    """How far its decoder is from the linear map."""


KINDS = {
    "pale and stubborn": Kind(contrast=0.4, obedience=0.05),
    "hard and obedient": Kind(contrast=1.2, obedience=1.0, bend=0.3),
    "bent": Kind(contrast=0.7, obedience=0.3, bend=-0.3),
}


class Gaussian:
    """The exact denoiser of latents N(t, v), t [1, 4, 8, 8]."""

    def __init__(self, picture: torch.Tensor, variance: float):
        """Expect latents around a picture."""
        self.picture, self.variance = picture, variance

    def __call__(self, z, level, conditioning, share):
        gain = self.variance * level.alpha / (level.alpha**2 * self.variance + level.sigma**2)
        return self.picture + gain * (z - level.alpha * self.picture)

    def carry(self, level) -> float:
        return 1 / level.alpha


class Base(Law):
    """Tiles that such a base draws."""

    def __init__(self, job, kind: Kind):
        super().__init__(job, pulls=0, variance=0)
        self.kind, self.decoder = kind, LinearBase(kind.bend)

    def scheduler(self, name: str):
        from diffusers import DPMSolverMultistepScheduler

        known = tiny_scheduler("epsilon").config
        keys = ("beta_start", "beta_end", "beta_schedule")
        return DPMSolverMultistepScheduler(**{key: known[key] for key in keys})

    def image(self, tile, strength):
        rgb = clouds(8, 6, "tile", *tile) * 0.3
        own = torch.linalg.pinv(MATRIX) @ rgb.flatten(1) * self.kind.contrast
        guide = ProjectionGuide(
            self.decoder.linear_decoder, self.decoder.decode, self.blocks[tile][None],
            cells=8, strength=strength, corrections=1,
        )  # fmt: skip
        clean = denoise(
            Gaussian(own.unflatten(1, (8, 8))[None], self.kind.obedience),
            make_scheduler(self, "dpm++", 6),
            normal((1, 4, 8, 8), 0, "start", *tile),
            Conditioning(text=torch.zeros(1, 1, 1)),
            guide=guide,
            window=(0.3, 1.0),
        )
        return self.decoder.decode(clean)[0].clamp(0, 1)


@pytest.mark.parametrize("grid", ["4x4", "8x8"])
@pytest.mark.parametrize("kind", KINDS)
def test_the_target_is_met_on_bases_of_every_kind(kind, grid, tmp_path):
    job = job_of(grid)
    store, base = Store(tmp_path, job.grid), Base(job, KINDS[kind])
    base.draw(store)
    assert found(store, job) == pytest.approx(TARGET, abs=0.05), store.recorded("pull")
    assert base.drawn.total() - len(job.grid.tiles) in (0, len(waves(job.grid)[0]))
