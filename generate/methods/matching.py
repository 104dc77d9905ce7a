"""Which picture of the pool a block gets: the nearest one in colour that is not used near it.

As mosaics have been made since AndreaMosaic, and as the paper's "Match & Tone" is (section 4.1).
"""

from collections.abc import Collection, Mapping
from itertools import product

import torch
from torch import Tensor

from ...configs.errors import InputError
from ..grid import Grid, Tile
from ..guidance.band import along_both, area_matrix

# Linear sRGB -> XYZ (IEC 61966-2-1) with its white, D65, scaled to 1.
_TO_XYZ = torch.tensor(
    [
        [0.412453, 0.357580, 0.180423],
        [0.212671, 0.715160, 0.072169],
        [0.019334, 0.119193, 0.950227],
    ]
)
_WHITE = torch.tensor([0.95047, 1.0, 1.08883])


def cielab(rgb: Tensor) -> Tensor:
    """CIELAB [..., 3] of sRGB [..., 3] in [0, 1]; L from 0 to 100, D65 (CIE 15:2004)."""
    linear = torch.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055).clamp(min=0) ** 2.4)
    xyz = linear @ _TO_XYZ.T.to(rgb) / _WHITE.to(rgb)
    knee = 6 / 29
    bent = torch.where(xyz > knee**3, xyz.pow(1 / 3), xyz / (3 * knee**2) + 4 / 29)
    x, y, z = bent.unbind(-1)
    return torch.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], dim=-1)


def color_features(images: Tensor, cells: int) -> Tensor:
    """Mean CIELAB of cells x cells equal parts of images [K, 3, H, H] in [0, 1]: [K, 3*cells^2]."""
    lab = cielab(images.movedim(1, -1)).movedim(-1, 1)
    return along_both(area_matrix(images.shape[-1], cells), lab).flatten(1)


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


def pictures_needed(grid: Grid, distance: int) -> int:
    """How many pictures `nearest_sources` surely gets along with: a tile's earlier ones and one."""
    above, left = min(distance, grid.rows - 1), min(distance, grid.cols - 1)
    return above * min(2 * distance + 1, grid.cols) + left + 1
