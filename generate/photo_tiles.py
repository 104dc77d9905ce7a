"""Tiles that are photos of the user's: as they are, or drawn over under the guide.

A photo is drawn over from its own latents, noised as far as `photo_strength` asks (SDEdit, Meng et
al. 2022), by the mosaic's own method: what it aligns and guides pulls the photo to its block as it
pulls every tile. No concept's adapter is on: nobody in a photo is to become somebody else.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from ..configs.photos import DRAWN, PLACED
from ..models.denoising import OnStep
from .denoised import DenoisedTiles
from .grid import Tile
from .methods import method_of
from .methods.base import DrawnMethod, Made, Maker, Recipe
from .photos import source_of
from .subjects import Subject

if TYPE_CHECKING:
    from .engine import Engine
    from .job import Job


def photo_groups(engine: "Engine", job: "Job") -> list[tuple[Maker, list[Tile]]]:
    """What makes a job's tiles that are photos, and which these are."""
    makers = {PLACED: placed, DRAWN: drawn_over}
    return [(makers[how](engine, job), tiles) for how, tiles in job.photo_groups()]


def placed(engine: "Engine", job: "Job") -> Maker:
    """Makes tiles of photos as they are, cut to the middle square."""

    def make(tiles: Sequence[Tile], blocks: Tensor, on_step: OnStep | None) -> Iterator[Made]:
        for tile in tiles:
            image = _read(job, tile).to(blocks)
            yield Made(image, image, {"concept": "", "prompt": "", **_facts(job, tile)})

    return make


def drawn_over(engine: "Engine", job: "Job") -> Maker:
    """Makes tiles that are drawn over their photos."""
    own = job.mosaic.photos
    subject = Subject("", own.photo_prompt)
    plain = replace(job, subjects=dict.fromkeys(job.photos, subject), adapters={})
    inner = DenoisedTiles(engine, plain, _from_photos(engine, job))

    def make(tiles: Sequence[Tile], blocks: Tensor, on_step: OnStep | None) -> Iterator[Made]:
        for tile, made in zip(tiles, inner(tiles, blocks, on_step), strict=True):
            yield replace(made, facts={**made.facts, **_facts(job, tile)})

    return make


def _from_photos(
    engine: "Engine", job: "Job"
) -> Callable[[Sequence[Tile], Tensor], Recipe]:
    """The method's recipe, but that tiles start from their photos."""
    method, steps = method_of(job.mosaic), job.mosaic.sampler.steps
    assert isinstance(method, DrawnMethod), "plans refuse photos for other methods"
    recipe = method.recipe(engine, job)
    share = job.mosaic.photos.photo_strength
    start = steps - (max(1, round(steps * share)) if share else 0)

    def batch(tiles: Sequence[Tile], blocks: Tensor) -> Recipe:
        with torch.no_grad():
            clean = engine.base.encode(torch.stack([_read(job, tile) for tile in tiles]))
        return replace(recipe(tiles, blocks), clean=clean, start=start)

    return batch


def _read(job: "Job", tile: Tile) -> Tensor:
    return source_of(job.photos[tile]).read(job.grid.tile)


def _facts(job: "Job", tile: Tile) -> dict[str, Any]:
    """What a tile's file says of its photo: names, and no folder of anybody's."""
    photo = job.photos[tile]
    name = {"name": photo.name} if photo.name else {}
    return {"photo": photo.file.name, "how": photo.how, **name}
