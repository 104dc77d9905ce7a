"""Draw a job's tiles with an engine. No disk is touched here: finished tiles are handed on."""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
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
from .tint import correction_energy, tint


@dataclass(frozen=True)
class Drawn:
    """A finished tile."""

    tile: Tile
    image: Tensor
    """[3, H, H] in [0, 1], on the CPU."""
    facts: dict[str, Any]
    """What its file says of it: seed, correction energy, concept, prompt, for a pool its source."""


def draw(
    engine: Engine, job: Job, tiles: Collection[Tile], on_step: OnStep | None = None
) -> Iterator[Drawn]:
    """Draw the wanted tiles in batches that share a concept, each handed on with its batch.

    Batches are cut from all tiles of the job, so that a restarted one forms the same ones and gives
    the same bytes. on_step(index, x0): told after every denoising step of a batch.

    Raises SmaltiError when a single tile does not fit into memory, or when the engine's base or
    precision is not the job's.
    """
    engine.prepare_for(job)
    maker, wanted, batch = method_of(job.mosaic).prepare(engine, job), set(tiles), job.batch

    def make(part: Sequence[Tile]) -> list[Drawn]:
        return [one for one in draw_batch(engine, job, maker, part, on_step) if one.tile in wanted]

    for _, group in job.groups():
        batch = yield from in_batches(group, batch, make, lambda p: not wanted.isdisjoint(p))


def draw_batch(
    engine: Engine, job: Job, maker: Maker, tiles: Sequence[Tile], on_step: OnStep | None
) -> list[Drawn]:
    """Draw tiles that share a concept in one batch."""
    picture = job.mosaic.picture
    blocks = torch.stack([job.blocks[tile] for tile in tiles]).to(engine.base.device)
    made = maker(tiles, blocks, on_step)
    images = tint(made.images, blocks, cells=picture.low_pass_cells, amplitude=picture.tint)
    energy = correction_energy(images, made.before)
    return [
        Drawn(tile, image, {"seed": job.seed, "correction_energy": change, **facts})
        for tile, image, facts, change in zip(tiles, images.cpu(), made.facts, energy, strict=True)
    ]
