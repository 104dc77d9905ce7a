"""A job: everything that one mosaic needs, and nothing that a process owns."""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from ..configs.mosaic import MosaicSettings, changed
from ..configs.photos import DRAWN, PLACED
from ..configs.settings import Settings
from .blocks import split_blocks
from .grid import Grid, Tile
from .guidance.calibration import START
from .memory import choose_batch
from .noise import coarse_field
from .plan import MosaicPlan
from .pull import is_measured
from .spread import assign_subjects
from .subjects import Subject

if TYPE_CHECKING:
    from .engine import Engine
    from .methods.pictures import Source
    from .photos import Photo


@dataclass(frozen=True)
class Job:
    """What tiles are drawn from, as plain data.

    It can be pickled and drawn in another process to the same bytes, by an engine of the same base
    and precision. A tile depends on (seed, row, column) and on what stands here, in no order.
    """

    settings: Settings
    """Resolved; a strength that is to be measured is where measuring begins."""
    fingerprint: str
    """The base model's weights, see `models.base`."""
    precision: str
    """Resolved: "no", "fp16" or "bf16"."""
    grid: Grid
    tiles: tuple[Tile, ...]
    """The tiles that batches are cut from: a restarted job forms the same ones."""
    seed: int
    """Of the tiles' noise: the mosaic's, but for single tiles drawn anew."""
    batch: int
    """Tiles drawn at once."""
    reference: Tensor
    """[3, rows*b, cols*b] in [0, 1]."""
    blocks: dict[Tile, Tensor]
    """Reference block of each tile, [3, b, b] in [0, 1]."""
    field: Tensor
    """The coarse noise field X, [C, rows*k, cols*k]."""
    subjects: dict[Tile, Subject]
    """What each tile shows."""
    adapters: dict[str, Path]
    """The adapter's file of each concept."""
    latent_factor: int
    """Pixels per latent pixel and axis."""
    is_measured: bool = False
    """Whether the store measures how strongly tiles are pulled, see `pull`."""
    photos: "dict[Tile, Photo]" = field(default_factory=dict)
    """The user's photo that a tile is, or is drawn over."""
    sources: "dict[Tile, Source] | None" = None
    """The pool's picture for each tile, for methods that place pictures."""

    @property
    def mosaic(self) -> MosaicSettings:
        """The settings of stage two."""
        return self.settings.mosaic

    @property
    def side(self) -> int:
        """Side of a tile in latent pixels."""
        return self.grid.tile // self.latent_factor

    @property
    def band_cells(self) -> int:
        """Cells of the low band per tile and axis, never more than a tile has latent pixels."""
        return min(self.mosaic.picture.low_pass_cells, self.side)

    def groups(self) -> Iterator[tuple[str, list[Tile]]]:
        """The tiles of each concept, which share adapters and so can be drawn together."""
        drawn = [tile for tile in self.tiles if tile not in self.photos]
        for concept in dict.fromkeys(self.subjects[tile].concept for tile in drawn):
            yield concept, [t for t in drawn if self.subjects[t].concept == concept]

    def photo_groups(self) -> Iterator[tuple[str, list[Tile]]]:
        """The tiles that are photos as they are, and those that are drawn over photos."""
        for how in (PLACED, DRAWN):
            tiles = [t for t in self.tiles if t in self.photos and self.photos[t].how == how]
            if tiles:
                yield how, tiles

    def batches(self) -> Iterator[list[Tile]]:
        """The tiles that are drawn at once, as far as memory holds them."""
        for _, group in (*self.groups(), *self.photo_groups()):
            yield from (group[i : i + self.batch] for i in range(0, len(group), self.batch))


def make_job(
    engine: "Engine",
    plan: MosaicPlan,
    reference: Tensor,
    *,
    noise: Tensor | None = None,
    batch: int | None = None,
) -> Job:
    """The job of a plan and its reference [3, rows*b, cols*b] in [0, 1].

    noise: the initial noise [C, h, w] of a reference that was drawn. batch: tiles drawn at once,
    where an earlier run chose it; None takes the settings' or what free memory holds.
    """
    grid, base, settings = plan.grid, engine.base, plan.settings
    if measured := is_measured(settings.mosaic):
        settings = replace(settings, mosaic=changed(settings.mosaic, guidance_strength=START))
    mosaic, blocks = settings.mosaic, split_blocks(reference, grid)
    return Job(
        settings=settings,
        fingerprint=base.fingerprint,
        precision=engine.precision,
        grid=grid,
        tiles=plan.retile or tuple(grid.tiles),
        seed=plan.seed,
        batch=mosaic.machine.batch_size or batch or choose_batch(base, mosaic, grid),
        reference=reference,
        blocks=dict(zip(grid.tiles, (block.clone() for block in blocks), strict=True)),
        field=_field(engine, plan, noise),
        subjects=_subjects(plan, grid, blocks),
        adapters=plan.adapters,
        latent_factor=base.latent_factor,
        is_measured=measured,
    )


def _subjects(plan: MosaicPlan, grid: Grid, blocks: Tensor) -> dict[Tile, Subject]:
    """What each tile shows, with the concepts that its prompt names; anew perhaps other things."""
    picture, cast = plan.settings.mosaic.picture, plan.cast
    shown = assign_subjects(picture, grid, blocks)
    if plan.prompts:
        other = assign_subjects(replace(picture, tile_prompt=plan.prompts), grid, blocks)
        shown = shown | {tile: other[tile] for tile in plan.retile}
    return {tile: cast.show(subject) for tile, subject in shown.items()}


def _field(engine: "Engine", plan: MosaicPlan, noise: Tensor | None) -> torch.Tensor:
    side = plan.grid.tile // engine.base.latent_factor
    seed = plan.settings.mosaic.picture.seed
    return coarse_field(plan.grid, engine.base.latent_channels, side, seed, noise)
