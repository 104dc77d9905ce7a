"""The whole reference's latents, enlarged to the mosaic's size: what "quilt" starts from."""

from torch import Tensor
from torch.nn.functional import interpolate

from ...models.band import cubic_matrix
from ...models.base import BaseModel
from ..grid import Grid, Tile


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
