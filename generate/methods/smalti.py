"""smalti: integral noise, colour alignment and guidance (Chung et al. 2026, section 3)."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from ...configs.errors import InputError
from ...configs.files import user_path
from ...configs.guides import LpipsSettings
from ...configs.settings import Settings
from ..grid import Grid, Tile
from .base import DrawnMethod, Recipe

if TYPE_CHECKING:
    from torch import Tensor

    from ..engine import Engine
    from ..job import Job


class Smalti(DrawnMethod):
    """Every tile is newly drawn, and guided towards its block."""

    def check(self, settings: Settings, grid: Grid) -> None:
        """The guide "lpips" needs its weights; raises InputError."""
        guide = settings.mosaic.guide
        if not (isinstance(guide, LpipsSettings) and guide.guidance):
            return
        if not user_path(guide.lpips).is_file():
            raise InputError(f'No LPIPS weights at "{guide.lpips}"; set mosaic.lpips to the file.')

    def recipe(self, engine: "Engine", job: "Job") -> Callable[[Sequence[Tile], "Tensor"], Recipe]:
        """Noise, alignment and guide as the settings ask for them."""
        from ..alignment import make_alignment
        from ..guidance.making import make_guide

        own, tile = job.mosaic.method, job.grid.tile

        def batch(tiles: Sequence[Tile], blocks: "Tensor") -> Recipe:
            space = own.color_space if own.color else ""
            align = make_alignment(engine.base, blocks, tile, space)
            return Recipe(own.noise, align=align, guide=make_guide(engine, job, blocks))

        return batch
