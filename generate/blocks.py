"""The reference as tensors: cropped to the grid's aspect, resampled, and cut into blocks."""

import torch
from einops import rearrange
from torch import Tensor
from torch.nn.functional import interpolate

from .grid import Grid


def crop_box(height: int, width: int, grid: Grid) -> tuple[int, int, int, int]:
    """Top, left, height and width of the largest box with the grid's aspect.

    The grid's focus lies in its middle, as nearly as the picture's edges allow.
    """
    scale = min(height / grid.rows, width / grid.cols)
    tall = min(height, max(1, round(grid.rows * scale)))
    wide = min(width, max(1, round(grid.cols * scale)))
    x, y = grid.focus
    return _start(y, height, tall), _start(x, width, wide), tall, wide


def _start(focus: float, length: int, kept: int) -> int:
    """Where a stretch of `kept` px begins whose middle is the focus, a share of `length`."""
    return min(length - kept, int(max(0.0, focus * length - kept / 2)))


def crop(image: Tensor, grid: Grid) -> Tensor:
    """Crop [..., H, W] to the grid's aspect."""
    top, left, tall, wide = crop_box(image.shape[-2], image.shape[-1], grid)
    return image[..., top : top + tall, left : left + wide]


def fit_reference(image: Tensor, grid: Grid) -> Tensor:
    """Crop an image [3, H, W] in [0, 1] and resample it to the grid's reference size."""
    cropped = crop(image, grid)
    if cropped.shape[-2:] == grid.reference_size:
        return cropped
    resized = torch.nn.functional.interpolate(
        cropped[None], size=grid.reference_size, mode="bicubic", antialias=True
    )
    return resized[0].clamp(0, 1)


def split_blocks(reference: Tensor, grid: Grid) -> Tensor:
    """Reference [3, rows*b, cols*b] -> blocks [rows*cols, 3, b, b], row by row."""
    return rearrange(reference, "c (r h) (k w) -> (r k) c h w", r=grid.rows, k=grid.cols)


def enlarge(blocks: Tensor, side: int) -> Tensor:
    """Blocks [K, 3, b, b] in [0, 1] -> [K, 3, side, side] in [0, 1], smoothly."""
    if blocks.shape[-1] == side:
        return blocks
    return interpolate(blocks, size=(side, side), mode="bicubic").clamp(0, 1)
