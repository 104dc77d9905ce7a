"""Hybrid pictures (Oliva et al. 2006): the details of a picture, over some other light.

A guided tile is one: its means over cells are the reference's, what lies above them is the
model's own. A network that has never seen such pictures answers the pull with patches; one that has
goes on drawing its subject.
"""

import math
from dataclasses import dataclass
from random import Random

import torch
from torch import Tensor

from ..models.band import mean_shift

CELLS = 8  # per side: the band that mosaics take from the reference
RELIT = "colored light"  # what the captions of such pictures end in
SHARES = (0.3, 0.9)  # of a picture's light that is replaced
STEEPNESS = (0.7, 8.0)


@dataclass(frozen=True)
class Light:
    """K ramps from one colour to another, from none to hard edges.

    `colors` `[K, 2, 3]` in [0, 1]; `lines` `[K, 3]` are the ramp's direction in radians, where its
    middle lies (0 is the picture's centre, in half sides), and its steepness (1 takes the whole
    side, 8 is an edge one cell wide); `shares` `[K]` in [0, 1] say how much of a picture's own
    light it replaces, 0 being none.
    """

    colors: Tensor
    lines: Tensor
    shares: Tensor

    def cells(self) -> Tensor:
        """The colours of the cells, `[K, 3, CELLS, CELLS]`."""
        return ramp(centres(CELLS, self.lines.device), self.colors, self.lines)


def centres(size: int, device: torch.device | None = None) -> Tensor:
    """Pixel centres (x, y) of a square picture, `[size, size, 2]` in [-1, 1]."""
    line = (torch.arange(size, device=device) + 0.5) * 2 / size - 1
    y, x = torch.meshgrid(line, line, indexing="ij")
    return torch.stack([x, y], -1)


def ramp(points: Tensor, colors: Tensor, lines: Tensor) -> Tensor:
    """Ramps `[K, 3, S, S]` at `centres`, `colors` and `lines` as in `Light`."""
    x, y = points.unbind(-1)
    angle, middle, steepness = lines[:, :, None, None].unbind(1)
    along = x * angle.cos() + y * angle.sin() - middle
    first, last = colors[..., None, None].unbind(1)
    return torch.lerp(first, last, (along * steepness / 2 + 0.5).clamp(0, 1)[:, None])


def draw_lights(random: Random, count: int) -> Light:
    """`count` lights, one row drawn after the other."""
    rows = zip(*(_row(random) for _ in range(count)), strict=True)
    return Light(*map(torch.tensor, rows))


def _row(random: Random) -> tuple[tuple, tuple, float]:
    """One row of Light: any colour, and one that is lighter or darker and a little different."""
    first = tuple(random.random() for _ in range(3))
    brighter = random.uniform(-0.7, 0.7)
    last = tuple(min(1, max(0, c + brighter + random.uniform(-0.2, 0.2))) for c in first)
    steepness = math.exp(random.uniform(*map(math.log, STEEPNESS)))
    line = (random.uniform(0, 2 * math.pi), random.uniform(-0.7, 0.7), steepness)
    return (first, last), line, random.uniform(*SHARES)


def relit(pictures: Tensor, light: Light) -> Tensor:
    """Square pictures `[K, 3, S, S]` in [0, 1] with `light.shares` of their means replaced."""
    change = mean_shift(pictures, light.cells())
    return (pictures + light.shares[:, None, None, None] * change).clamp(0, 1)
