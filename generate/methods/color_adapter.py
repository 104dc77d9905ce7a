"""T2I-Adapter's colour condition (Mou et al. 2023), which the paper compares with (section 4.1).

Each tile gets the palette of its own block; nothing else ties it to the reference.
"""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from ...configs.settings import Settings
from ...models.locate import require_color_adapter
from ..grid import Grid, Tile
from .base import DrawnMethod, Recipe

if TYPE_CHECKING:
    from torch import Tensor

    from ..engine import Engine
    from ..job import Job


class ColorAdapter(DrawnMethod):
    """Drawn with the features of its block's palette."""

    def check(self, settings: Settings, grid: Grid) -> None:
        """The base needs a colour adapter; raises InputError."""
        require_color_adapter(settings.base)

    def identity(self, settings: Settings) -> dict[str, Any]:
        """Which adapter it is."""
        return {"color_adapter": settings.base.color_adapter}

    def recipe(self, engine: "Engine", job: "Job") -> Callable[[Sequence[Tile], "Tensor"], Recipe]:
        """The palette's features, scaled."""
        from ...models.color_adapter import palette_features
        from ..blocks import enlarge

        scale, tile = job.mosaic.method.adapter_scale, job.grid.tile

        def batch(tiles: Sequence[Tile], blocks: "Tensor") -> Recipe:
            features = palette_features(engine.base, enlarge(blocks, tile), scale)
            return Recipe(residuals=tuple(features))

        return batch
