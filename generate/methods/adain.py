"""Colour alignment alone, as the paper compares with it (section 4.1)."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from ..grid import Tile
from .base import DrawnMethod, Recipe

if TYPE_CHECKING:
    from torch import Tensor

    from ..engine import Engine
    from ..job import Job


class Adain(DrawnMethod):
    """Latents aligned to their block's statistics at every step (Eq. 3-5)."""

    def recipe(self, engine: "Engine", job: "Job") -> Callable[[Sequence[Tile], "Tensor"], Recipe]:
        """Alignment in latent space, and nothing else."""
        from ..alignment import latent_alignment

        tile = job.grid.tile
        return lambda tiles, blocks: Recipe(align=latent_alignment(engine.base, blocks, tile))
