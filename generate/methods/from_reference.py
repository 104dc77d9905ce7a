"""Methods that start from the reference: noise is added to it in part, and prompts take it off.

"img2img" is StreamDiffusion's image-to-image (Kodaira et al. 2023) as the paper applies it (section
4.1), SDEdit by another name: each block is enlarged to a tile, encoded, noised and denoised.

"quilt" is PhotoQuilt (2026): the whole picture's latents are enlarged to the mosaic's size, noised
again and denoised tile by tile. Its global pass is the reference, drawn or a photo.
"""

from abc import abstractmethod
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from ...configs.mosaic import MosaicSettings
from ..grid import Tile
from .base import DrawnMethod, Recipe

if TYPE_CHECKING:
    from torch import Tensor

    from ..engine import Engine
    from ..job import Job

Latents = Callable[[Sequence[Tile], "Tensor"], "Tensor"]


class FromReference(DrawnMethod):
    """Tiles that start from latents of the reference."""

    def first_step(self, mosaic: MosaicSettings) -> int:
        """The last `strength` of the steps are taken."""
        steps = mosaic.sampler.steps
        return steps - round(steps * mosaic.method.strength)

    def recipe(self, engine: "Engine", job: "Job") -> Callable[[Sequence[Tile], "Tensor"], Recipe]:
        """Start from the reference's latents, noised in part."""
        latents, start = self.latents(engine, job), self.first_step(job.mosaic)
        return lambda tiles, blocks: Recipe(clean=latents(tiles, blocks), start=start)

    @abstractmethod
    def latents(self, engine: "Engine", job: "Job") -> Latents:
        """A function from tiles and their blocks to clean latents [K, C, h, w]."""


class Img2Img(FromReference):
    """Each tile starts from its block."""

    def latents(self, engine: "Engine", job: "Job") -> Latents:
        """The enlarged blocks, encoded."""
        from .mixing import encoded_blocks

        return lambda tiles, blocks: encoded_blocks(engine.base, blocks, job.grid.tile)


class Quilt(FromReference):
    """Each tile starts from its part of the whole reference."""

    def latents(self, engine: "Engine", job: "Job") -> Latents:
        """Parts of the reference's latents, which are encoded once."""
        import torch

        from .upscaling import encode_whole, upscaled

        whole, grid, side = encode_whole(engine.base, job.reference), job.grid, job.side
        return lambda tiles, _: torch.stack([upscaled(whole, grid, tile, side) for tile in tiles])
