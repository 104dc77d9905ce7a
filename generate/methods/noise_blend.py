"""NoiseBlend: every prediction mixed with the reference's (paper, section 4.1)."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from ..grid import Tile
from .base import DrawnMethod, Recipe

if TYPE_CHECKING:
    from torch import Tensor

    from ..engine import Engine
    from ..job import Job


class NoiseBlend(DrawnMethod):
    """Predictions and encoded blocks in a fixed ratio."""

    def recipe(self, engine: "Engine", job: "Job") -> Callable[[Sequence[Tile], "Tensor"], Recipe]:
        """The mixture of each batch."""
        from .mixing import blended, encoded_blocks

        share = job.mosaic.method.blend
        return lambda tiles, blocks: Recipe(
            align=blended(encoded_blocks(engine.base, blocks, job.grid.tile), share)
        )
