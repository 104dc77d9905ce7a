"""Initial tile noise by integral-noise subsampling (paper, section 3.1).

All tiles refine one coarse Gaussian field X, so that they share its large structure; what is
below X's resolution is drawn per tile from (seed, row, col) and from nothing else.
"""

import math

import torch
from einops import rearrange, repeat
from torch import Generator, Tensor

from ..models.randomness import keyed_generator, normal
from .blocks import crop
from .grid import Grid, Tile


def cells_per_tile(grid: Grid, side: int) -> int:
    """Side k of a tile's square of coarse cells, for a tile of `side` latent pixels.

    X has the resolution of a reference as large as one tile (paper, Figure 2: 12 x 12 cells
    for 8x8 tiles of 96 x 96). k divides the tile's side, so that every cell refines into whole
    latent pixels.
    """
    wanted = max(1, side // max(grid.rows, grid.cols))
    return max(k for k in range(1, wanted + 1) if side % k == 0)


def coarse_field(grid: Grid, channels: int, side: int, seed: int, source: Tensor | None) -> Tensor:
    """The coarse field X [C, rows*k, cols*k], standard normal and white.

    `source` is the initial noise [C, h, w] of a reference that smalti drew; it is cropped like
    the reference and resampled. Without it, X is drawn from the seed.
    """
    cells = cells_per_tile(grid, side)
    size = (grid.rows * cells, grid.cols * cells)
    if source is None:
        return normal((channels, *size), seed, "field")
    cropped = crop(source.cpu().float(), grid)
    rows = _resample_rows(cropped, size[0], keyed_generator(seed, "field", "rows"))
    columns = rearrange(rows, "c h w -> c w h")
    columns = _resample_rows(columns, size[1], keyed_generator(seed, "field", "columns"))
    return rearrange(columns, "c w h -> c h w")


def _resample_rows(field: Tensor, size: int, generator: Generator) -> Tensor:
    """White noise [C, h, w] -> white noise [C, size, w] with the same integral over any span.

    Each row is refined by the exact conditional (as in `subsample`) to the least common
    multiple of both heights; groups of fine rows are then summed and scaled to unit variance.
    """
    height = field.shape[1]
    if height == size:
        return field
    common = math.lcm(height, size)
    fine = torch.randn(
        (field.shape[0], height, common // height, field.shape[2]), generator=generator
    )
    fine = fine - fine.mean(dim=2, keepdim=True) + field[:, :, None] / fine.shape[2] ** 0.5
    groups = rearrange(fine.flatten(1, 2), "c (h n) w -> c h n w", h=size)
    return groups.sum(dim=2) / groups.shape[2] ** 0.5


def subsample(coarse: Tensor, fine: Tensor, variant: str = "white") -> Tensor:
    """Integral-noise subsampling (paper, Eq. 1-2).

    coarse: X, [..., k, k]; fine: Z ~ N(0, I), [..., k*s, k*s]; N = s^2.

    "white": X/sqrt(N) + (Z - mean Z), the exact conditional of unit-variance white noise given
    its block integral; a block's mean times sqrt(N) is X.
    "paper": X/N + (Z - mean Z)/sqrt(1 - 1/N), Eq. 2 with the residual of unit scale that its
    prefactor restores; a block's sum is X, the variance is 1 + 1/N^2. (Put into Eq. 2
    literally, Eq. 1's residual leaves a variance of about 1/N, which no model can start from.)
    """
    scale = fine.shape[-1] // coarse.shape[-1]
    count = scale**2
    cells = rearrange(fine, "... (h a) (w b) -> ... h w a b", a=scale, b=scale)
    residual = cells - cells.mean(dim=(-2, -1), keepdim=True)
    if variant == "paper":
        level = coarse / count
        residual = residual / max(1 - 1 / count, 1 / 2) ** 0.5  # N = 1 has no residual at all
    else:
        level = coarse / count**0.5
    spread = repeat(level, "... h w -> ... h w a b", a=scale, b=scale)
    return rearrange(spread + residual, "... h w a b -> ... (h a) (w b)")


def tile_noise(field: Tensor, grid: Grid, tile: Tile, side: int, seed: int, variant: str) -> Tensor:
    """Initial latents [C, side, side] of one tile.

    variant: "white", "paper" (see `subsample`), or "random", which ignores the field.
    """
    row, col = tile
    fine = normal((field.shape[0], side, side), seed, "tile", row, col)
    if variant == "random":
        return fine
    cells = field.shape[1] // grid.rows
    block = field[:, row * cells : (row + 1) * cells, col * cells : (col + 1) * cells]
    return subsample(block, fine, variant)
