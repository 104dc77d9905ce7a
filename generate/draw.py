"""Draw a job's tiles with an engine. No disk is touched here: finished tiles are handed on."""

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor

from ..models.denoising import OnStep
from .engine import Engine
from .grid import Tile
from .job import Job
from .memory import in_batches
from .methods import method_of
from .methods.base import Maker
from .photo_tiles import photo_groups
from .tint import correction_energy, tint

Draws = Callable[[Collection[Tile], OnStep | None], "Iterator[Drawn]"]
"""Draws those of a job's tiles that are asked for, see `draw`."""


@dataclass(frozen=True)
class Drawn:
    """A finished tile."""

    tile: Tile
    image: Tensor
    """[3, H, H] in [0, 1], on the CPU."""
    facts: dict[str, Any]
    """What its file says of it: seed, correction energy, concept, prompt; for a pool its source,
    for a photo its name and how it was made."""


def draw(
    engine: Engine, job: Job, tiles: Collection[Tile], on_step: OnStep | None = None
) -> Iterator[Drawn]:
    """Draw the wanted tiles in batches that share a concept, each handed on once it is decoded.

    Batches are cut from all tiles of the job, so that a restarted one forms the same ones and gives
    the same bytes. on_step(index, x0): told after every denoising step of a batch.

    Raises SmaltiError when a single tile does not fit into memory, or when the engine's base or
    precision is not the job's.
    """
    return ready(engine, job)(tiles, on_step)


def ready(engine: Engine, job: Job) -> Draws:
    """What draws a job's tiles, some now and some later; what is once per job is done only once.

    The engine may draw another job in between.
    """
    engine.prepare_for(job)
    maker, batch = method_of(job.mosaic).prepare(engine, job), job.batch
    groups = [(maker, group) for _, group in job.groups()] + photo_groups(engine, job)

    def draws(tiles: Collection[Tile], on_step: OnStep | None) -> Iterator[Drawn]:
        nonlocal batch
        engine.prepare_for(job)
        wanted = set(tiles)

        def make(maker: Maker, part: Sequence[Tile]) -> Iterator[Drawn]:
            return draw_batch(engine, job, maker, part, on_step)

        for maker, group in groups:
            batch = yield from in_batches(group, batch, partial(make, maker), wanted)

    return draws


def draw_batch(
    engine: Engine, job: Job, maker: Maker, tiles: Sequence[Tile], on_step: OnStep | None
) -> Iterator[Drawn]:
    """Draw tiles that share a concept in one batch, in their order."""
    picture = job.mosaic.picture
    blocks = torch.stack([job.blocks[tile] for tile in tiles]).to(engine.base.device)
    for tile, block, made in zip(tiles, blocks, maker(tiles, blocks, on_step), strict=True):
        cells, amplitude = picture.low_pass_cells, picture.tint
        image = tint(made.image[None], block[None], cells=cells, amplitude=amplitude)
        (energy,) = correction_energy(image, made.before[None])
        facts = {"seed": job.seed, "correction_energy": energy, **made.facts}
        yield Drawn(tile, image[0].cpu(), facts)
