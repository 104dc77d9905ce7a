"""Which photo goes where: the cheapest assignment of all photos, then repeats that keep apart.

A photo's cost at a tile is the mean square distance in Oklab of the cells that guides act on. Every
photo gets its one place in the assignment of the least total cost. Repeats are added in rounds,
each the cheapest assignment of every photo to the tiles that are left and far enough from where it
lies; of the last round the best pairs are taken. Where no photo is far enough, tiles stay as they
are.
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from ..configs.errors import InputError
from ..configs.progress import Report, say
from ..models.colorspaces import oklab
from .assignment import cheapest_assignment
from .grid import Tile
from .job import Job
from .methods.matching import color_features
from .photos import Photo, PhotoPlan, source_of
from .store import Store, tile_name

RECORD = "photos"  # what mosaic.json calls the places
PIXELS_PER_CELL = 4  # of what photos are compared by
CHUNK = 512  # photos whose costs are computed at once


def place_photos(plan: PhotoPlan, job: Job, store: Store, report: Report) -> Job:
    """The job with a photo's place on it, as the store has recorded it or, at first, records it."""
    for fault in plan.unread:
        say(f"photos: {fault}; it is left out.")
    if (kept := store.recorded(RECORD)) is None:
        placed = _best(plan, job, report)
        kept = {tile_name(tile): photo.file.name for tile, photo in sorted(placed.items())}
        store.update(**{RECORD: kept})
    named = {photo.file.name: photo for photo in plan.photos}
    tiles = {tile_name(tile): tile for tile in job.grid.tiles}
    photos = {tiles[name]: named[file] for name, file in kept.items()}
    measured = job.is_measured and len(photos) < len(tiles)  # photos tell nothing of a pull
    return replace(job, photos=photos, is_measured=measured)


def _best(plan: PhotoPlan, job: Job, report: Report) -> dict[Tile, Photo]:
    """The best places; photos that turn out to be damaged are named and left out."""
    features = _features(plan.photos, job, report)
    photos = [photo for photo in plan.photos if photo.file in features]
    fixed = {tile: photo for tile, photo in plan.fixed if photo.file in features}
    report(0, 1, "placing photos")
    index = {photo.file: number for number, photo in enumerate(photos)}
    cells = job.mosaic.picture.low_pass_cells
    blocks = torch.stack([job.blocks[tile] for tile in plan.spots]) if plan.spots else None
    seen = np.stack([features[photo.file] for photo in photos])
    wanted = color_features(blocks, cells, oklab).numpy() if blocks is not None else seen[:0]
    places = choose_places(
        costs(seen, wanted),
        plan.spots,
        min(plan.count, len(fixed) + len(plan.spots)),
        job.mosaic.photos.photo_distance,
        {tile: index[photo.file] for tile, photo in fixed.items()},
    )
    return {tile: photos[number] for tile, number in places.items()}


def _features(photos: Sequence[Photo], job: Job, report: Report) -> dict[Path, np.ndarray]:
    """Colours of each photo's cells; decodes them all."""
    cells = job.mosaic.picture.low_pass_cells
    side, found = min(job.grid.tile, PIXELS_PER_CELL * cells), {}
    for number, photo in enumerate(photos):
        report(number, len(photos), "reading photos")
        try:
            picture = source_of(photo).small(side)
        except InputError as error:
            say(f"photos: {error} It is left out.")
            continue
        found[photo.file] = color_features(picture[None], cells, oklab)[0].numpy()
    if not found:
        raise InputError("None of the photos can be decoded; save them anew as JPEG or PNG.")
    return found


def costs(photos: np.ndarray, blocks: np.ndarray) -> np.ndarray:
    """Mean square distance per cell [P, T] of features [P, 3n] and [T, 3n]; float64.

    Of a type that SciPy takes without a copy: 400 MB for 5,000 photos and 10,000 tiles.
    """
    found = np.empty((len(photos), len(blocks)))
    if not found.size:
        return found
    cells, blocks = photos.shape[1] / 3, blocks.astype(np.float64)
    squares = np.square(blocks).sum(1)
    for start in range(0, len(photos), CHUNK):
        part = photos[start : start + CHUNK].astype(np.float64)
        found[start : start + CHUNK] = np.square(part).sum(1)[:, None] + squares
        found[start : start + CHUNK] -= 2 * part @ blocks.T
    found /= cells
    return np.maximum(found, 0, out=found)


def choose_places(
    cost: np.ndarray,
    spots: Sequence[Tile],
    count: int,
    distance: int,
    fixed: dict[Tile, int] | None = None,
) -> dict[Tile, int]:
    """A photo's index for `count` tiles, or for fewer where repeats would come too near.

    cost: [P, T] of P photos at the T tiles `spots`. fixed: tiles that have their photo already.
    Photos that are not among those get one place each, at the least total cost; two of the same
    photo are farther apart than `distance` rows or columns, but for fixed ones. Needs as many spots
    as there are photos without a place.
    """
    placed = dict(fixed or {})
    once = sorted(set(range(len(cost))).difference(placed.values()))
    if once:
        chosen = cost if len(once) == len(cost) else cost[once]
        rows, cols = cheapest_assignment(chosen)
        placed |= {spots[c]: once[r] for r, c in zip(rows.tolist(), cols.tolist(), strict=True)}
    while len(placed) < count and (more := _repeats(cost, spots, placed, distance)):
        placed |= dict(more[: count - len(placed)])
    return placed


def _repeats(
    cost: np.ndarray, spots: Sequence[Tile], placed: dict[Tile, int], distance: int
) -> list[tuple[Tile, int]]:
    """The cheapest assignment of photos to tiles that are left and far enough, best pairs first."""
    left = [number for number, tile in enumerate(spots) if tile not in placed]
    if not left:
        return []
    place, again = np.array([spots[number] for number in left]), cost[:, left]
    too_much = 1 + again.sum(dtype=np.float64)  # one such pair costs more than any without
    for tile, photo in placed.items():
        again[photo, np.abs(place - tile).max(1) <= distance] = too_much
    rows, cols = cheapest_assignment(again)
    pairs = [(again[r, c], left[c], r) for r, c in zip(rows, cols, strict=True)]
    return [(spots[c], int(r)) for value, c, r in sorted(pairs) if value < too_much]
