"""What every method has in common: checks, cost, and what makes its tiles.

A method is one file: a class here, its settings in `configs/methods.py`, and its name in no other
place. Nothing here loads torch, as `--dry-run` asks for checks and costs only.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from ...configs.mosaic import MosaicSettings
from ...configs.settings import Settings
from ..grid import Grid, Tile
from ..guidance.cost import guide_calls

if TYPE_CHECKING:
    from torch import Tensor

    from ...models.denoising import Align, Guide, OnStep
    from ..engine import Engine
    from ..job import Job

DECODER_COST = 3  # in UNet calls; SD: 2.5 TFLOP to 0.8

DrawInto = Callable[["Job", str], dict[Tile, Path]]
"""Draws a job's tiles into a folder of that name inside the mosaic's, and says where they lie."""


@dataclass(frozen=True)
class Made:
    """A tile; images are [3, H, H] in [0, 1]."""

    image: "Tensor"
    before: "Tensor"
    """The same before the method changed pixels; equal where it does not."""
    facts: dict[str, Any]
    """What the tile's file says of it, such as concept and prompt."""


class Maker(Protocol):
    """Makes batches of a job's tiles."""

    def __call__(
        self, tiles: Sequence[Tile], blocks: "Tensor", on_step: "OnStep | None"
    ) -> Iterator[Made]:
        """Make tiles that share a concept, each handed on as soon as it is there.

        blocks: [K, 3, b, b] in [0, 1], on the device.
        """
        ...


@dataclass(frozen=True)
class Recipe:
    """How a batch is denoised, beside its prompts and sampler."""

    noise: str = "random"
    """Initial noise, as in `noise.tile_noise`."""
    clean: "Tensor | None" = None
    """Latents [K, C, h, w] to start from, noised as far as `start` asks; None starts from noise."""
    start: int = 0
    """Index of the first denoising step."""
    align: "Align | None" = None
    guide: "Guide | None" = None
    residuals: tuple["Tensor", ...] = ()
    """What a T2I-Adapter adds at the UNet's levels."""


class Method(ABC):
    """A way to make the tiles of a mosaic."""

    def check(self, settings: Settings, grid: Grid) -> None:  # noqa: B027 - most need no check
        """Raise InputError for what cannot work; nothing is loaded."""

    def identity(self, settings: Settings) -> dict[str, Any]:
        """What tiles depend on beside the settings: hashes of files that the method reads."""
        return {}

    def pictures(self, mosaic: MosaicSettings, grid: Grid) -> int:
        """How many pictures are drawn for a mosaic."""
        return len(grid.tiles)

    def first_step(self, mosaic: MosaicSettings) -> int:
        """Index of the first denoising step."""
        return 0

    def calls(self, mosaic: MosaicSettings) -> float:
        """What a picture costs, in UNet calls: denoising, guide and the last decoding."""
        sampler = mosaic.sampler
        share = max(0.0, sampler.cfg_end - sampler.cfg_start)
        steps = sampler.steps - self.first_step(mosaic)
        plain = steps * (1 + (sampler.cfg_scale != 1) * share)
        guided = guide_calls(mosaic, plain, DECODER_COST) if mosaic.method.guided else 0.0
        return plain + guided + DECODER_COST

    def complete(
        self, job: "Job", todo: Collection[Tile], shown: Mapping[Tile, str], draw_into: DrawInto
    ) -> "Job":
        """The job with what its tiles are made of, where that must be there before they are.

        todo: tiles to be made; shown: the `source` of those that are there.
        """
        return job

    @abstractmethod
    def prepare(self, engine: "Engine", job: "Job") -> Maker:
        """What makes the job's tiles; what is once per job is done here."""


class DrawnMethod(Method):
    """A method whose tiles are denoised, each batch by a recipe."""

    def prepare(self, engine: "Engine", job: "Job") -> Maker:
        """Tiles are denoised as `recipe` says."""
        from ..denoised import DenoisedTiles

        return DenoisedTiles(engine, job, self.recipe(engine, job))

    @abstractmethod
    def recipe(self, engine: "Engine", job: "Job") -> Callable[[Sequence[Tile], "Tensor"], Recipe]:
        """A function from tiles and their blocks [K, 3, b, b] to their recipe."""
