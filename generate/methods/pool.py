"""Classical photomosaics: a picture of a pool in every block.

The pool is a folder of the user's, or pictures drawn from the tile prompts. The latter are a job of
their own, one row of plain tiles in the mosaic's folder, so that they are drawn in batches and
found again after a restart as tiles are. Its pictures stay files: a tile's is read when it is made.
"""

from abc import abstractmethod
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import cycle, islice, product
from typing import TYPE_CHECKING, Any

from ...configs.mosaic import MosaicSettings, changed
from ...configs.settings import Settings
from ..alternatives import choices, spoken
from ..grid import Grid, Tile
from ..subjects import Subject, name_color
from ..together import Cast
from .base import DrawInto, Made, Maker, Method
from .pictures import Source, check_pictures, folder_sources, picture_files, pictures_hash

if TYPE_CHECKING:
    from torch import Tensor

    from ...models.denoising import OnStep
    from ..engine import Engine
    from ..job import Job

FOLDER = "pool"  # in the mosaic's


class PoolMethod(Method):
    """Tiles are pictures of a pool, whose pixels may be changed."""

    def check(self, settings: Settings, grid: Grid) -> None:
        """Every picture of the user's can be read; raises InputError."""
        if folder := settings.mosaic.method.pool:
            check_pictures(folder)

    def identity(self, settings: Settings) -> dict[str, Any]:
        """Names and contents of the user's pictures."""
        folder = settings.mosaic.method.pool
        return {"pool": pictures_hash(picture_files(folder))} if folder else {}

    def pictures(self, mosaic: MosaicSettings, grid: Grid) -> int:
        """Only a pool without a folder is drawn."""
        return 0 if mosaic.method.pool else mosaic.method.pool_size

    def complete(
        self, job: "Job", todo: Collection[Tile], shown: Mapping[Tile, str], draw_into: DrawInto
    ) -> "Job":
        """The job with a picture for every tile, drawn first where there is no folder of them."""
        if folder := job.mosaic.method.pool:
            pool = folder_sources(folder)
        else:
            drawing = pool_job(job)
            files = draw_into(drawing, FOLDER)
            pool = [Source(files[tile], drawing.subjects[tile]) for tile in drawing.tiles]
        return replace(job, sources=self.choose(job, pool, todo, shown))

    def choose(
        self, job: "Job", pool: Sequence[Source], todo: Collection[Tile], shown: Mapping[Tile, str]
    ) -> dict[Tile, Source]:
        """Any picture for every tile, keyed by (seed, row, col)."""
        return {tile: pool[any_of(len(pool), job.seed, tile)] for tile in job.grid.tiles}

    def prepare(self, engine: "Engine", job: "Job") -> Maker:
        """Tiles are read from files and adjusted."""
        assert job.sources is not None, "`complete` gives every tile its picture"
        chosen = job.sources

        def make(
            tiles: Sequence[Tile], blocks: "Tensor", on_step: "OnStep | None"
        ) -> Iterator[Made]:
            for tile, block in zip(tiles, blocks, strict=True):
                source = chosen[tile]
                read = source.read(job.grid.tile).to(blocks)
                (image,) = self.adjust(read[None], block[None], job.mosaic)
                yield Made(image, read, {"source": source.file.name, **vars(source.subject)})

        return make

    @abstractmethod
    def adjust(self, images: "Tensor", blocks: "Tensor", mosaic: MosaicSettings) -> "Tensor":
        """What is done to pictures [K, 3, H, H] for blocks [K, 3, b, b], all in [0, 1]."""


def any_of(count: int, seed: int, tile: Tile) -> int:
    """An index below `count` that depends on (seed, row, col) only."""
    import torch

    from ...models.randomness import keyed_generator

    return int(torch.randint(count, (), generator=keyed_generator(seed, "source", *tile)))


def pool_job(job: "Job") -> "Job":
    """The job that draws the pool: plain tiles in one row, whose blocks nothing follows."""
    import torch

    size = job.mosaic.method.pool_size
    plain = changed(
        job.mosaic, method="smalti", noise="random", color=False, guidance=False, tint=0.0
    )
    grid, cast = replace(job.grid, rows=1, cols=size), Cast(job.adapters, plain.picture.region)
    return replace(
        job,
        settings=replace(job.settings, mosaic=plain),
        grid=grid,
        tiles=tuple(grid.tiles),
        seed=plain.picture.seed,
        blocks=dict.fromkeys(grid.tiles, torch.zeros(3, 1, 1)),
        subjects=dict(zip(grid.tiles, map(cast.show, pool_subjects(job.mosaic)), strict=True)),
    )


def pool_subjects(mosaic: MosaicSettings) -> list[Subject]:
    """Concepts and prompts of the pool's pictures in turn; `<color>` runs through all colours."""
    from ..palette import COLORS

    picture = mosaic.picture
    prompts = [spoken(prompt, words) for prompt in picture.tile_prompt for words in choices(prompt)]
    known = product(COLORS, prompts, picture.tile_lora or ("",))
    subjects = [Subject(concept, name_color(prompt, color)) for color, prompt, concept in known]
    return list(islice(cycle(subjects), mosaic.method.pool_size))
