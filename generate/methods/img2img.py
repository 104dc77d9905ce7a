"""Methods that start from the reference: noise is added to it in part, and prompts take it off.

"img2img" is StreamDiffusion's image-to-image (Kodaira et al. 2023) as the paper applies it (section
4.1), SDEdit by another name: each block is enlarged to a tile, encoded, noised and denoised.

"quilt" is PhotoQuilt (2026): the whole picture's latents are enlarged to the mosaic's size, noised
again and denoised tile by tile. Its global pass is the reference, drawn or a photo.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.nn.functional import interpolate

from ...configs.settings import FROM_REFERENCE, MosaicSettings
from ...models.base import BaseModel
from ..color import enlarge
from ..grid import Grid, Tile
from ..guidance.band import cubic_matrix

if TYPE_CHECKING:
    from ..studio import Studio


def first_step(mosaic: MosaicSettings) -> int:
    """Index of the first denoising step; the last `strength` of the steps are taken."""
    if mosaic.method not in FROM_REFERENCE:
        return 0
    return mosaic.steps - round(mosaic.steps * mosaic.strength)


def start_latents(studio: "Studio", tiles: Sequence[Tile], blocks: Tensor) -> Tensor:
    """Clean latents [K, C, side, side] that tiles start from; blocks: [K, 3, b, b] in [0, 1]."""
    base, grid = studio.base, studio.plan.grid
    if studio.plan.settings.mosaic.method == "img2img":
        return base.encode(enlarge(blocks, grid.tile))
    side = grid.tile // base.latent_factor
    return torch.stack([upscaled(studio.reference_latents, grid, tile, side) for tile in tiles])


def encode_whole(base: BaseModel, reference: Tensor) -> Tensor:
    """Latents [C, h, w] of a reference [3, H, W] in [0, 1] of any size."""
    factor = base.latent_factor
    size = [-(-length // factor) * factor for length in reference.shape[1:]]  # none is cut off
    picture = interpolate(reference[None], size=size, mode="bicubic").clamp(0, 1)
    return base.encode(picture)[0]


def upscaled(latents: Tensor, grid: Grid, tile: Tile, side: int) -> Tensor:
    """A tile's part [C, side, side] of latents [C, h, w] that are enlarged to the whole mosaic.

    Cubic and with the neighbours' latents, so that tiles continue each other; of the enlarged
    picture, which may be too large for memory, only this part is computed.
    """
    (row, col), (_, height, width) = tile, latents.shape
    rows = cubic_matrix(height, grid.rows * side)[row * side : (row + 1) * side]
    cols = cubic_matrix(width, grid.cols * side)[col * side : (col + 1) * side]
    return rows.to(latents) @ latents @ cols.T.to(latents)
