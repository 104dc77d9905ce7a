"""Which picture of the pool a block gets: the nearest one in colour that is not used near it.

As mosaics have been made since AndreaMosaic, and as the paper's "Match & Tone" is (section 4.1).
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from itertools import product
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from ...configs.errors import InputError
from ...models.band import along_both, area_matrix
from ...models.colorspaces import cielab
from ..grid import Grid, Tile
from .pictures import Source

if TYPE_CHECKING:
    from ..job import Job


def choose_nearest(
    job: "Job", pool: Sequence[Source], todo: Collection[Tile], shown: Mapping[Tile, str]
) -> dict[Tile, Source]:
    """The nearest picture for every tile, as `Match.choose` says."""
    grid, cells = job.grid, job.mosaic.picture.low_pass_cells
    distance = job.mosaic.method.repeat_distance
    blocks = color_features(torch.stack([job.blocks[tile] for tile in grid.tiles]), cells)
    features = torch.cat([color_features(s.read(grid.tile)[None], cells) for s in pool])
    index = {source.file.name: number for number, source in enumerate(pool)}
    there = {tile: index[name] for tile, name in shown.items()}
    first = nearest_sources(blocks, features, grid, distance)
    wanted, placed = dict(zip(grid.tiles, blocks, strict=True)), {**first, **there}
    for tile in sorted(todo):
        placed.pop(tile)  # its own picture is no neighbour's
        excluded = near(placed, tile, distance) | ({there[tile]} if tile in there else set())
        again = job.seed == job.mosaic.picture.seed and first[tile] not in excluded
        placed[tile] = first[tile] if again else nearest(wanted[tile], features, excluded)
    return {tile: pool[index] for tile, index in placed.items()}


def color_features(
    images: Tensor, cells: int, space: Callable[[Tensor], Tensor] = cielab
) -> Tensor:
    """Mean colours of cells x cells equal parts of images [K, 3, H, H] in [0, 1]: [K, 3*cells^2].

    space: sRGB [..., 3] in [0, 1] to the space of the means, CIELAB or Oklab.
    """
    colors = space(images.movedim(1, -1)).movedim(-1, 1)
    return along_both(area_matrix(images.shape[-1], cells), colors).flatten(1)


def nearest_sources(blocks: Tensor, pool: Tensor, grid: Grid, distance: int) -> dict[Tile, int]:
    """For each tile, row by row, the nearest picture that no tile within `distance` has yet.

    blocks: features [rows*cols, D] of the tiles, pool: features [N, D]. Distance is the larger one
    of the differences in rows and columns. Raises InputError when the pool is too small.
    """
    placed: dict[Tile, int] = {}
    for tile, block in zip(grid.tiles, blocks, strict=True):
        placed[tile] = nearest(block, pool, near(placed, tile, distance))
    return placed


def near(placed: Mapping[Tile, int], tile: Tile, distance: int) -> set[int]:
    """Pictures that lie within `distance` of a tile, its own included."""
    reach = range(-distance, distance + 1)
    around = ((tile[0] + down, tile[1] + right) for down, right in product(reach, reach))
    return {placed[other] for other in around if other in placed}


def nearest(block: Tensor, pool: Tensor, excluded: Collection[int]) -> int:
    """Index of the picture whose features [N, D] are nearest to the block's [D]."""
    error = (pool - block).square().sum(dim=1)
    error[list(excluded)] = torch.inf
    best = int(error.argmin())
    if error[best].isinf():
        raise InputError(
            f"No picture of the pool's {len(pool)} is left for a tile; give the pool more pictures "
            "or lower mosaic.repeat_distance."
        )
    return best
