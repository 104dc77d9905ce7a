"""The band that guides call low: `cells` x `cells` area means of a tile, and the ways in and out.

Every guide takes its band from here, so that guides can be compared at the same one. The matrices
depend on sizes alone and are wanted at every step, so each is made once; nobody writes into them.
"""

from functools import lru_cache

import torch
from torch import Tensor
from torch.nn.functional import interpolate

MATRICES = 16  # kept of a kind; a mosaic needs three or four


@lru_cache(maxsize=MATRICES)
def area_matrix(size: int, smaller: int) -> Tensor:
    """1-D resampling by area as a matrix [smaller, size]; pixels cut by an edge count in part."""
    edges = torch.arange(smaller + 1, dtype=torch.float64) * size / smaller
    pixel = torch.arange(size, dtype=torch.float64)
    overlap = torch.minimum(edges[1:, None], pixel + 1) - torch.maximum(edges[:-1, None], pixel)
    return overlap.clamp(min=0) * smaller / size


@lru_cache(maxsize=MATRICES)
def spread_matrix(cells: int, size: int) -> Tensor:
    """1-D enlargement [size, cells] that is smooth and whose area means are the cells again.

    Cubic interpolation B alone blurs: its means are A B c, with A from `area_matrix`. The matrix
    B (A B)^-1 has the means c exactly, and no steps at the cells' edges.
    """
    smooth = cubic_matrix(cells, size)
    return smooth @ torch.linalg.inv(area_matrix(size, cells) @ smooth)


@lru_cache(maxsize=MATRICES)
def cubic_matrix(size: int, larger: int) -> Tensor:
    """1-D cubic interpolation as a matrix [larger, size], torch's "bicubic" along one axis."""
    unit = torch.eye(size, dtype=torch.float64)[:, None]  # [size, 1, size], one row per sample
    return interpolate(unit[:, :, None], size=(1, larger), mode="bicubic")[:, 0, 0].T


def blur_matrix(size: int, sigma: float) -> Tensor:
    """A 1-D Gaussian blur as a matrix [size, size] whose rows sum to 1, edges included."""
    if sigma <= 0:
        return torch.eye(size, dtype=torch.float64)
    position = torch.arange(size, dtype=torch.float64)
    return gaussian(position[:, None] - position, sigma)


def gaussian(distance: Tensor, sigma: float) -> Tensor:
    """Gaussian weights of distances [..., n], summing to 1 along the last axis."""
    weight = torch.exp(-0.5 * (distance / sigma).square())
    return weight / weight.sum(dim=-1, keepdim=True)


def blur_sigma(size: int, cells: int) -> float:
    """Deviation in pixels of the Gaussian that is as wide as a cell of `size` / `cells` pixels.

    A box of width w has the variance w^2 / 12.
    """
    return size / cells / 12**0.5


def along_both(matrix: Tensor, images: Tensor) -> Tensor:
    """Apply a 1-D operator [m, n] to both axes of square images [..., n, n] -> [..., m, m]."""
    matrix = matrix.to(images)
    return matrix @ images @ matrix.T


def mean_shift(images: Tensor, target: Tensor) -> Tensor:
    """The smooth change of images [..., H, H] that gives them area means `target` [..., n, n]."""
    size, cells = images.shape[-1], target.shape[-1]
    missing = target - along_both(area_matrix(size, cells), images)
    return along_both(spread_matrix(cells, size), missing)


def low_band(images: Tensor, cells: int) -> Tensor:
    """What images [..., H, H] have in the band of `cells` x `cells` area means, cells <= H.

    A projection: the band of the band is itself, and what lies above it has means of 0.
    """
    size = images.shape[-1]
    return along_both(spread_matrix(cells, size) @ area_matrix(size, cells), images)


class LowPass:
    """Resize to size x size px by area, then blur: the operator G of Eq. 7, one matrix per axis."""

    def __init__(self, size: int, sigma: float):
        """Blur with a Gaussian of `sigma` px at `size` px."""
        self.size = size
        self.blur = blur_matrix(size, sigma)

    def __call__(self, images: Tensor) -> Tensor:
        """Square images [K, 3, H, H] -> their low frequencies [K, 3, size, size]."""
        return along_both(self.blur @ area_matrix(images.shape[-1], self.size), images)
