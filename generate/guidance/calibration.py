"""How strongly to pull, measured on a handful of a mosaic's own tiles.

A guide takes a share s of a tile's error at every step, and the network puts some of it back. In
the band that the guide acts on, a tile m is its block r of the reference and an error that falls
with the pull and has less contrast where the tile would have had that of r; what lies above the
band, h, is the model's own:

    m = r + (1 - s)^p (n - k r) + h

n knows nothing of r. k is 1 where a pull mixes r and the tile that would be there without it, less
where the network answers with something else. Tiles drawn at a strength tell n, k and h, the same
tiles at two strengths tell p. Put into the places of the tiles that are still to be drawn they make
a mosaic, seen at 64 px like any other, whose SSIM is the one to expect: so tiles that span many
windows of SSIM, as in small grids, and windows that span many tiles, as in large ones, need no
formula of their own, nor does a base, a prompt or a guide. The strength is the weakest that
promises the target.
"""

from bisect import bisect_left
from collections.abc import Mapping
from dataclasses import dataclass
from math import ceil, log
from typing import NamedTuple

import torch
from einops import rearrange
from torch import Tensor
from torch.nn.functional import conv2d, interpolate

from ...models.band import along_both, area_matrix, gaussian, low_band, spread_matrix
from ...models.metrics import RESOLUTION, at_resolution, ssim
from ..blocks import split_blocks
from ..grid import Grid, Tile

START = 0.25  # strength of the first tiles
PULLS = 4.6  # p until it was measured: the starter's, at the presets' settings
FEWEST, MOST = 1.0, 10.0  # p; no guide that takes a share of an error is outside
WEAKEST = 0.05
LEAST_OWN = 0.1  # of a tile's colours in the band are always its own: below, subjects drown
MARGIN = 0.03  # of SSIM: the last that a band can give costs more of a tile than all before
STEP = 0.005  # finer than an eye can tell, coarser than what machines of one precision differ by
RADIUS, SIGMA = 5, 1.5  # of SSIM's windows, px
OVERSAMPLING = 8  # pixels per tile and axis, of each that shows at 64 px


class Seen(NamedTuple):
    """A tile that was drawn."""

    strength: float
    image: Tensor
    """[3, H, H] in [0, 1]."""


@dataclass(frozen=True)
class View:
    """A reference in tiles, as it looks from afar."""

    grid: Grid
    cells: int
    """Cells of the guide's band, per tile and axis."""
    reference: Tensor
    """[1, 3, h, w] in [0, 1], 64 px on the shorter side."""
    blocks: Tensor
    """What each tile should look like, [rows*cols, 3, v, v], row by row."""

    def low(self, images: Tensor) -> Tensor:
        """The guide's band of tiles [K, 3, v, v]."""
        return low_band(images, self.cells) if images.shape[-1] > self.cells else images

    def afar(self, tiles: Tensor) -> Tensor:
        """Tiles [rows*cols, 3, v, v] put together at 64 px, [1, 3, h, w]."""
        whole = rearrange(tiles, "(r k) c h w -> 1 c (r h) (k w)", r=self.grid.rows)
        size = self.reference.shape[-2:]
        return interpolate(whole, size=size, mode="bilinear", antialias=True)


def view_of(reference: Tensor, grid: Grid, cells: int) -> View:
    """The view of a reference [3, rows*b, cols*b] in [0, 1]."""
    side = OVERSAMPLING * ceil(RESOLUTION / min(grid.rows, grid.cols))
    blocks = resized(split_blocks(reference.float(), grid), min(side, grid.tile))
    return View(grid, cells, at_resolution(reference), blocks)


def resized(images: Tensor, side: int) -> Tensor:
    """Square images [K, 3, H, H] at another size, their area means kept."""
    own = images.shape[-1]
    return along_both((area_matrix if side <= own else spread_matrix)(own, side), images)


class Outlook:
    """What a mosaic will be from afar, given some of its tiles and p."""

    def __init__(self, view: View, seen: Mapping[Tile, Seen], pulls: float = PULLS):
        """Expect the tiles that are not in `seen` to be like those that are, one or more."""
        self.view, self.pulls = view, pulls
        places, low = _indices(view.grid, seen), view.low(view.blocks)
        images, errors = _observed(view, seen)
        shares = _shares(seen, pulls)
        errors, given = errors / shares, donors(view.grid, len(seen))
        answer = min(kept_out(errors, low[places]), float(1 / shares.min()))  # never beyond r
        moving = errors[given] + answer * (low[places][given] - low)
        given[places], moving[places] = torch.arange(len(seen)), 0  # these stay as they are
        ideal = low + (images - view.low(images))[given]  # what full strength would leave
        staying = torch.zeros_like(moving)
        staying[places] = view.low(images - view.blocks[places])
        self.best, self.still = view.afar(ideal), view.afar(ideal + staying)
        self.moving = view.afar(moving)

    def ssim(self, strength: float) -> float:
        """SSIM@64 to expect when the other tiles are pulled by `strength`."""
        return self._ssim(self.still + (1 - strength) ** self.pulls * self.moving)

    def _ssim(self, shown: Tensor) -> float:
        return ssim(shown[0].clamp(0, 1), self.view.reference[0])

    def within_reach(self, target: float) -> float:
        """The SSIM@64 to aim at: `target`, or a little less than the band gives at full strength.

        What shows above the band, as half of a tile does in a grid of 4 x 4, no pull can reach.
        """
        return min(target, self._ssim(self.best) - MARGIN)

    def weakest(self, target: float) -> float:
        """The weakest pull that promises an SSIM@64, in steps of STEP between the bounds."""
        last = int((1 - LEAST_OWN ** (1 / self.pulls)) / STEP)
        steps = range(round(WEAKEST / STEP), last)
        found = bisect_left(steps, target, key=lambda step: self.ssim(step * STEP))
        return round((steps.start + found) * STEP, 3)


def pulls_between(before: float, variance: float, after: float, left: float) -> float:
    """p, where errors of a variance at the strength `before` leave `left` at the strength `after`.

    The variance of an error g (t - r) falls with g^2 = (1 - s)^2p. In steps of a tenth.
    """
    pulls = log(max(left, 1e-12) / max(variance, 1e-12)) / 2 / log((1 - after) / (1 - before))
    return round(min(max(pulls, FEWEST), MOST), 1)


def kept_out(errors: Tensor, blocks: Tensor) -> float:
    """k, from errors n - k r and the band r of blocks, both [K, 3, v, v]: least squares, >= 0."""
    error, block = (x - x.mean(dim=(0, 2, 3), keepdim=True) for x in (errors, blocks))
    slope = float((error * block).sum() / block.square().sum().clamp(min=1e-9))
    return max(-slope, 0.0)


def error_variance(view: View, seen: Mapping[Tile, Seen]) -> float:
    """Mean variance, in SSIM's windows at 64 px, of the error in the band that tiles have."""
    _, errors = _observed(view, seen)
    return float(local_variance(view.afar(errors[donors(view.grid, len(seen))])).mean())


def local_variance(images: Tensor) -> Tensor:
    """Variance [K, 3, H - 10, W - 10] in SSIM's Gaussian windows, of images [K, 3, H, W]."""
    weight = gaussian(torch.arange(-RADIUS, RADIUS + 1), SIGMA)
    kernel = torch.outer(weight, weight).expand(3, 1, -1, -1).to(images)
    mean, square = (conv2d(x, kernel, groups=3) for x in (images, images.square()))
    return (square - mean.square()).clamp(min=0)


def donors(grid: Grid, count: int) -> Tensor:
    """Which of `count` tiles stands in each place, row by row: in turn, and never beside itself.

    With four or more none touches itself at a corner either, so that windows of SSIM see tiles that
    know nothing of each other, as they will in the mosaic.
    """
    return torch.tensor([(2 * row + col) % count for row, col in grid.tiles])


def scattered(grid: Grid, count: int) -> list[Tile]:
    """`count` tiles that cover the grid evenly, as the first ones among them do.

    The R2 sequence (Roberts 2018), whose points avoid each other in two dimensions.
    """
    root = 1.32471795724474602596  # of x^3 = x + 1
    found: dict[Tile, None] = {}
    number = 0
    while len(found) < min(count, grid.rows * grid.cols):
        down, across = ((0.5 + number / root**axis) % 1 for axis in (1, 2))
        found[int(down * grid.rows), int(across * grid.cols)] = None
        number += 1
    return list(found)


def _indices(grid: Grid, seen: Mapping[Tile, Seen]) -> list[int]:
    return [row * grid.cols + col for row, col in seen]


def _observed(view: View, seen: Mapping[Tile, Seen]) -> tuple[Tensor, Tensor]:
    """Tiles [K, 3, v, v] and their errors in the band."""
    images = resized(
        torch.stack([one.image.float() for one in seen.values()]), view.blocks.shape[-1]
    )
    return images, view.low(images - view.blocks[_indices(view.grid, seen)])


def _shares(seen: Mapping[Tile, Seen], pulls: float) -> Tensor:
    """(1 - s)^p of each tile, [K, 1, 1, 1]."""
    share = torch.tensor([(1 - one.strength) ** pulls for one in seen.values()])
    return share[:, None, None, None]
