"""Match & Tone: the nearest picture of the pool that is not used near the tile.

The paper's strongest non-generative baseline (section 4.1), with or without tone adjustment.
"""

from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING

from ...configs.errors import InputError
from ...configs.mosaic import MosaicSettings
from ...configs.settings import Settings
from ..grid import Grid, Tile
from .pictures import Source, picture_files
from .pool import PoolMethod

if TYPE_CHECKING:
    from torch import Tensor

    from ..job import Job


class Match(PoolMethod):
    """Nearest in colour, no repeats nearby."""

    def check(self, settings: Settings, grid: Grid) -> None:
        """As for every pool; too few pictures to keep the distance raise InputError, too."""
        super().check(settings, grid)
        own = settings.mosaic.method
        count = len(picture_files(own.pool)) if own.pool else own.pool_size
        needed = pictures_needed(grid, own.repeat_distance)
        place = "to the folder" if own.pool else "with mosaic.pool_size"
        if count < needed:
            raise InputError(
                f"A pool of {count} is too small to repeat no picture within "
                f"mosaic.repeat_distance {own.repeat_distance}; it takes {needed}. Lower the "
                f"distance or add pictures ({place})."
            )

    def choose(
        self, job: "Job", pool: Sequence[Source], todo: Collection[Tile], shown: Mapping[Tile, str]
    ) -> dict[Tile, Source]:
        """The nearest picture for every tile.

        A tile drawn anew changes to the nearest that is not near it now; with the mosaic's own
        seed to the one it had at first, if that is not near it.
        """
        from .matching import choose_nearest

        return choose_nearest(job, pool, todo, shown)

    def adjust(self, images: "Tensor", blocks: "Tensor", mosaic: MosaicSettings) -> "Tensor":
        """Part of the way to the block's tone."""
        from .pixels import map_tone, moved

        share = mosaic.method.tone_adjustment
        return moved(images, map_tone(images, blocks), share) if share else images


def pictures_needed(grid: Grid, distance: int) -> int:
    """How many pictures surely do: those of a tile's earlier neighbours and one more."""
    above, left = min(distance, grid.rows - 1), min(distance, grid.cols - 1)
    return above * min(2 * distance + 1, grid.cols) + left + 1
