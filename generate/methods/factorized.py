"""Factorized diffusion (Geng et al. 2024; paper, appendix B.1) in latent space."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from ..grid import Tile
from .base import DrawnMethod, Recipe

if TYPE_CHECKING:
    from torch import Tensor

    from ..engine import Engine
    from ..job import Job


class Factorized(DrawnMethod):
    """The low band from the encoded block, what is above it from the prediction."""

    def recipe(self, engine: "Engine", job: "Job") -> Callable[[Sequence[Tile], "Tensor"], Recipe]:
        """The mixture of each batch."""
        from .mixing import encoded_blocks, factorized

        return lambda tiles, blocks: Recipe(
            align=factorized(encoded_blocks(engine.base, blocks, job.grid.tile), job.band_cells)
        )
