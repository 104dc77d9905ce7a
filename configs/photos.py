"""Settings of real photos among the tiles."""

from dataclasses import dataclass
from typing import ClassVar

from .fields import Group, setting

PLACED, DRAWN = "placed", "drawn"
PHOTO_MODES = (PLACED, DRAWN)


@dataclass(frozen=True)
class PhotoSettings(Group):
    """Real photos among the tiles: which, where, and whether they are drawn over."""

    section: ClassVar[str] = "mosaic.photos"

    tile_photos: str = setting("", path=True, identity=False)
    """Folder of photos that are put among the tiles, each at least once."""
    photo_share: float | None = setting(None, above=0, at_most=1, none="auto")
    """Share of the tiles that are photos; "auto" is 0.3, or all of `photos_in`, and never less than
    the photos need. Of tiles that no photo may have the others are drawn."""
    photos_in: str = ""
    """Region that photos lie in: left, top, right, bottom as shares, such as "0.2,0.2,0.8,0.8"."""
    photo_places: str = setting("", path=True, identity=False)
    """CSV with columns row, col, file and, if wanted, how and name; counted from 1. Without row and
    col a photo lies where it fits best; files lie in `tile_photos`, else beside the CSV."""
    photo_mode: str = setting(PLACED, choices=PHOTO_MODES)
    """"placed", photos as they are, or "drawn", drawn over in the colours of the reference; a
    photo's own `how` in the CSV wins."""
    photo_distance: int = setting(4, at_least=1, at_most=256)
    """So near, counted in rows and columns, no photo is repeated."""
    photo_strength: float = setting(0.2, at_least=0, at_most=1)
    """Share of the steps in which a photo is drawn over, at least one of them: 1 forgets it; at 0
    there is none, and nothing pulls it either."""
    photo_cells: int = setting(3, at_least=1, at_most=512)
    """Cells per tile and axis in which a photo that is drawn over takes its block's colours, never
    more than `low_pass_cells`; fewer leave it more of its own."""
    photo_keep: float = setting(1.0, at_least=0, at_most=1)
    """Share of its own detail, finer than these cells, that a photo keeps which is drawn over."""
    photo_prompt: str = "a photo"
    """Prompt under which photos are drawn over."""

    @property
    def wanted(self) -> bool:
        """Whether there are photos among the tiles."""
        return bool(self.tile_photos or self.photo_places)
