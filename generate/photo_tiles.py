"""Tiles that are photos of the user's: as they are, or drawn over under the guide.

A photo is drawn over from its own latents, noised as far as `photo_strength` asks (SDEdit, Meng et
al. 2022), by the mosaic's own method: what it aligns and guides pulls the photo to its block as it
pulls every tile. No concept's adapter is on: nobody in a photo is to become somebody else.

The band that the guide pulls has `photo_cells` cells, so that a photo takes its block's colours and
not its shapes, and what lies above keeps the share `photo_keep` of the photo p: with P the
projection on the band and x the prediction,

    x' = x + k (1 - P)(p - x),

the null-space projection of DDNM (Wang et al. 2023, Eq. 8) the other way round: there what was seen
is the band. It comes before the guide. A change within the band, as guides in closed form make,
leaves (1 - P) x' alone, and what keeps the detail leaves the band alone.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from ..configs.mosaic import MosaicSettings, changed
from ..configs.photos import DRAWN, PLACED
from ..models.band import low_band
from ..models.denoising import Align, OnStep
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
    own = job.mosaic.photos
    pulled = replace(job, settings=replace(job.settings, mosaic=in_fewer_cells(job.mosaic)))
    recipe = method.recipe(engine, pulled)
    share = own.photo_strength
    start = steps - (max(1, round(steps * share)) if share else 0)

    def batch(tiles: Sequence[Tile], blocks: Tensor) -> Recipe:
        with torch.no_grad():
            clean = engine.base.encode(torch.stack([_read(job, tile) for tile in tiles]))
        usual = recipe(tiles, blocks)
        align = keeping_detail(clean, pulled.band_cells, own.photo_keep, usual.align)
        return replace(usual, clean=clean, start=start, align=align)

    return batch


def in_fewer_cells(mosaic: MosaicSettings) -> MosaicSettings:
    """The settings by which photos are drawn over: their band is `photo_cells` wide."""
    cells = min(mosaic.photos.photo_cells, mosaic.picture.low_pass_cells)
    return changed(mosaic, low_pass_cells=cells)


def keeping_detail(photos: Tensor, cells: int, share: float, align: Align | None) -> Align | None:
    """Keeps a share of what latents of photos [K, C, h, w] have above the band, after `align`."""
    if not share:
        return align

    def kept(x0: Tensor) -> Tensor:
        x0 = x0 if align is None else align(x0)
        missing = photos.to(x0) - x0
        return x0 + share * (missing - low_band(missing, cells))

    return kept


def _read(job: "Job", tile: Tile) -> Tensor:
    return source_of(job.photos[tile]).read(job.grid.tile)


def _facts(job: "Job", tile: Tile) -> dict[str, Any]:
    """What a tile's file says of its photo: names, and no folder of anybody's."""
    photo = job.photos[tile]
    name = {"name": photo.name} if photo.name else {}
    return {"photo": photo.file.name, "how": photo.how, **name}
