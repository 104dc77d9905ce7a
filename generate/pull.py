"""A mosaic whose pull is measured: its tiles are drawn in parts, each as those before it suggest.

A handful of tiles is drawn first. Where they ask for another strength, they are drawn again with
it: no other tile is ever drawn for nothing. Then each look at what is there, at the handful and at
a quarter of the tiles, may move the strength of the others by a little, too little to be seen
beside how tiles differ anyway. A strength is recorded before a tile is drawn with it, and depends
on whole parts in 8 bits, so that a restarted mosaic goes on as it would have.
"""

from collections.abc import Collection, Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from ..configs.guides import PullSettings
from ..configs.mosaic import MosaicSettings, changed
from .grid import Grid, Tile
from .guidance.calibration import (
    PULLS,
    START,
    Outlook,
    Seen,
    View,
    error_variance,
    pulls_between,
    scattered,
    view_of,
)

if TYPE_CHECKING:
    from .job import Job
    from .store import Store

PULL = "pull"  # what mosaic.json calls the measurement
HANDFUL = (3, 12)  # fewest and most tiles of the first part
SHARE = 3 / 64  # of all tiles, as far as that is a handful
QUARTER = 1 / 4  # of the tiles are what the last look sees,
QUARTERS = (8, 64)  # but no fewer and no more than these
NEAR = 0.03  # most that a look moves the strength while many tiles of another one stay
NEAR_FEW = 0.05  # and while a handful does


def is_measured(mosaic: MosaicSettings) -> bool:
    """Whether there is a pull and nobody said how strong it is."""
    guide = mosaic.guide
    pulls = isinstance(guide, PullSettings) and guide.guidance and mosaic.method.guided
    return pulls and guide.guidance_strength is None


def parts(
    job: "Job", store: "Store", todo: Collection[Tile]
) -> Iterator[tuple["Job", list[Tile]]]:
    """Jobs that together draw the tiles `todo`, each with those of them that are its own.

    What one draws must lie in the store before the next is asked for.
    """
    begun = store.recorded("guidance_strength") if job.is_measured else None
    if not job.is_measured or (begun and not store.recorded(PULL)):  # as older versions chose it
        yield (pulled(job, begun, job.tiles) if begun else job), list(todo)
        return
    measuring = Measuring(job, store)
    for number, tiles in enumerate(waves(job.grid, job.photos)):
        wanted = [tile for tile in todo if tile in tiles]
        if number == 0 and not measuring.strengths:
            yield pulled(job, START, tiles), wanted
            wanted = measuring.settle()
        strength = measuring.strength_of(number)
        if wanted:
            yield pulled(job, strength, tiles), wanted


def pulled(job: "Job", strength: float, tiles: Collection[Tile]) -> "Job":
    """Those of a job's tiles that are in `tiles`, pulled by `strength`."""
    mosaic = changed(job.mosaic, guidance_strength=strength)
    own = tuple(tile for tile in job.tiles if tile in tiles)
    return replace(job, settings=replace(job.settings, mosaic=mosaic), tiles=own)


def waves(grid: Grid, photos: Collection[Tile] = ()) -> list[frozenset[Tile]]:
    """The parts in which tiles are drawn: a handful, the rest of a quarter, all others.

    photos: tiles that answer to no pull or to a shorter one; nothing is learned from them.
    """
    few, quarter = (
        min(max(least, int(share * len(grid.tiles))), most)
        for share, (least, most) in ((SHARE, HANDFUL), (QUARTER, QUARTERS))
    )
    order = dict.fromkeys([*scattered(grid, quarter), *grid.tiles])
    order = [tile for tile in order if tile not in photos][:quarter]
    found = order[:few], order[few:], set(grid.tiles).difference(order)
    return [frozenset(part) for part in found if part]


class Measuring:
    """The measurement in a mosaic's folder."""

    def __init__(self, job: "Job", store: "Store"):
        """Go on with what `store` has recorded for `job`."""
        self.job, self.store = job, store
        self.waves = waves(job.grid, job.photos)
        self.record: dict[str, Any] = store.recorded(PULL) or {"strengths": []}

    @property
    def strengths(self) -> list[float]:
        """Of the parts, as far as they are known."""
        return self.record["strengths"]

    def settle(self) -> list[Tile]:
        """Choose the first part's strength, it being drawn at START; what must be drawn again."""
        view, seen = self._view(), self._seen([START])
        outlook = Outlook(view, seen)
        strength, target = self._weakest(outlook)
        if abs(strength - START) <= NEAR:
            self._add(START, target)
            return []
        first = {"strength": START, "error_variance": round(error_variance(view, seen), 7)}
        self.store.discard(self.waves[0])  # before the record says that they are of its strength
        self._add(strength, target, first=first)
        return sorted(self.waves[0])

    def strength_of(self, number: int) -> float:
        """The strength of a part; all parts before it are drawn."""
        if number == len(self.strengths):
            view, seen, latest = self._view(), self._seen(self.strengths), self.strengths[-1]
            pulls = self._pulls(view)
            wanted, target = self._weakest(Outlook(view, seen, pulls))
            near = NEAR_FEW if number == 1 else NEAR
            strength = min(max(wanted, latest - near), latest + near)
            self._add(round(strength, 3), target, pulls=pulls)
        return self.strengths[number]

    def _weakest(self, outlook: Outlook) -> tuple[float, float]:
        """The strength to take, and the SSIM@64 that it aims at."""
        target = round(outlook.within_reach(self.job.mosaic.guide.target_ssim), 3)
        return outlook.weakest(target), target

    def _pulls(self, view: View) -> float:
        """p, from the first part's two strengths; without a second, that which is assumed."""
        if not (first := self.record.get("first")):
            return PULLS
        left = error_variance(view, self._seen(self.strengths[:1]))
        return pulls_between(first["strength"], first["error_variance"], self.strengths[0], left)

    def _view(self) -> View:
        return view_of(self.job.reference, self.job.grid, self.job.band_cells)

    def _seen(self, strengths: list[float]) -> dict[Tile, Seen]:
        """Tiles of the parts that have these strengths."""
        drawn = zip(self.waves, strengths, strict=False)
        return {t: Seen(s, self.store.image(t)) for wave, s in drawn for t in sorted(wave)}

    def _add(self, strength: float, target: float, **facts: Any) -> None:
        strengths = [*self.strengths, strength]
        self.record = {**self.record, "strengths": strengths, "target_ssim": target, **facts}
        self.store.update(guidance_strength=strength, **{PULL: self.record})
