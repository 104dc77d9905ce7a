"""Mosaics whose tiles follow a law, drawn into a store as `mosaic.store_tiles` does."""

from collections import Counter

import torch
from drawn import change
from torch.nn.functional import interpolate

from smalti.configs.mosaic import mosaic_settings
from smalti.configs.settings import BaseSettings, Settings
from smalti.generate.blocks import split_blocks
from smalti.generate.grid import Tile, make_grid
from smalti.generate.guidance.calibration import START
from smalti.generate.job import Job
from smalti.generate.pull import is_measured, parts
from smalti.generate.store import Store
from smalti.models.band import along_both, area_matrix, spread_matrix
from smalti.models.metrics import ssim
from smalti.models.pixels import to_image
from smalti.models.randomness import normal

TARGET = 0.7


def clouds(size: int, cells: int, *key: object) -> torch.Tensor:
    """Soft shapes [3, size, size] of deviation 1, from `cells` x `cells` random values."""
    return interpolate(normal((1, 3, cells, cells), 0, *key), size=size, mode="bicubic")[0] / 0.75


BAND = spread_matrix(8, 64) @ area_matrix(64, 8)  # onto what 8 cells a side can hold


class Law:
    """A base of which only its tiles are known: m = r + (1 - s)^p (t - r) + h."""

    def __init__(self, job: Job, pulls: float, variance: float):
        """Let tiles t, which know nothing of r, have a variance of their own."""
        self.job, self.pulls, self.deviation = job, pulls, variance**0.5
        self.blocks = dict(zip(job.grid.tiles, split_blocks(job.reference, job.grid), strict=True))
        self.drawn: Counter[Tile] = Counter()

    def image(self, tile: Tile, strength: float) -> torch.Tensor:
        """A tile [3, 64, 64] in [0, 1]."""
        free = 0.5 + self.deviation * clouds(64, 6, "tile", *tile)
        block = interpolate(self.blocks[tile][None], size=64, mode="bicubic")[0]
        error = free - block
        low = along_both(BAND, error)
        fine = free - along_both(BAND, free)
        return (block + (1 - strength) ** self.pulls * low + fine).clamp(0, 1)

    def draw(self, store: Store, *, stop_after: int = 10**6) -> None:
        """Draw what is missing, as `mosaic.store_tiles` does; a stop is a KeyboardInterrupt."""
        for part, wanted in parts(self.job, store, store.missing()):
            for tile in wanted:
                if self.drawn.total() == stop_after:
                    raise KeyboardInterrupt
                strength = part.mosaic.guide.guidance_strength
                store.save(tile, self.image(tile, strength), {"strength": strength}, "")
                self.drawn[tile] += 1


def job_of(grid: str = "8x8", contrast: float = 0.2, **options: object) -> Job:
    """A job of a soft reference; nothing but its grid and its reference is looked at."""
    mosaic = mosaic_settings(grid=grid, tile_prompt=("a cat",), target_ssim=TARGET, **options)
    settings = Settings(base=BaseSettings(resolution=64), mosaic=mosaic)
    grid = make_grid(settings)
    whole = 0.5 + contrast * clouds(64, 9, "reference")
    reference = interpolate(whole[None], size=grid.reference_size, mode="bicubic")[0].clamp(0, 1)
    empty: dict = {"field": torch.zeros(4, 8, 8), "blocks": {}, "subjects": {}, "adapters": {}}
    return Job(
        settings=change(settings, guidance_strength=START), fingerprint="", precision="no",
        grid=grid, tiles=tuple(grid.tiles), seed=0, batch=1, reference=reference, latent_factor=8,
        is_measured=is_measured(mosaic), **empty,
    )  # fmt: skip


def found(store: Store, job: Job) -> float:
    """SSIM@64 of what was drawn."""
    return ssim(to_image(store.canvas()), job.reference)


def strengths_of(store: Store) -> dict[Tile, float]:
    """What each tile was drawn with."""
    facts = store.facts(store.grid.tiles).values()
    return {tile: fact["strength"] for tile, fact in zip(store.grid.tiles, facts, strict=True)}
