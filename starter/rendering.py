"""Compositions drawn as pictures, in batches on any device."""

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from ..train.lighting import centres, ramp
from .compositions import Compositions
from .corpus import Corpus
from .recoloring import recolored

SHRUNK = 0.6  # below this scale a picture is read at half size, so that it does not alias


def render(corpus: Corpus, samples: Compositions) -> Tensor:
    """Draw samples: `[K, 3, S, S]` in [0, 1] on the corpus's device."""
    device, size = corpus.images.device, corpus.images.shape[-1]

    def tensor(array: np.ndarray) -> Tensor:
        return torch.from_numpy(array).to(device)

    points = centres(size, device)
    angle = tensor(samples.angle)
    whole_side = torch.stack([angle, torch.zeros_like(angle), torch.ones_like(angle)], 1)
    picture = ramp(points, tensor(samples.colors), whole_side)
    back = _layer(corpus, samples.back, tensor(samples.back_place), tensor(samples.wrap), points)
    front = _layer(corpus, samples.front, tensor(samples.front_place), None, points)
    front = recolored(front, tensor(samples.recolor))
    for layer in (back, front):
        picture = layer[:, :3] + picture * (1 - layer[:, 3:])
    return (picture * tensor(samples.tint)[:, :, None, None]).clamp(0, 1)


def _layer(
    corpus: Corpus, index: np.ndarray, place: Tensor, wrap: Tensor | None, points: Tensor
) -> Tensor:
    """Pictures warped to their places, `[K, 4, S, S]` premultiplied; empty where the index is -1.

    `points` `[S, S, 2]` are the pixel centres (x, y) in [-1, 1].
    """
    grid = (points - place[:, None, None, 2:]) / place[:, None, None, :2]
    if wrap is not None:
        grid = torch.where(wrap[:, None, None, None], torch.remainder(grid + 1, 2) - 1, grid)
    chosen = torch.from_numpy(np.maximum(index, 0)).long().to(corpus.images.device)
    layer = points.new_zeros(len(index), 4, *points.shape[:2])
    shrunk = place[:, 1] < SHRUNK
    for source, rows in ((corpus.images, ~shrunk), (corpus.small, shrunk)):
        pictures = source[chosen[rows]].float() / 255
        layer[rows] = F.grid_sample(pictures, grid[rows], align_corners=False)
    return layer * (chosen.new_tensor(index) >= 0)[:, None, None, None]


def on_random_colors(corpus: Corpus, index: np.ndarray, seed: int) -> Tensor:
    """Pictures at full size on a random colour each, `[K, 3, S, S]` in [0, 1].

    The VAE's quality is judged on these.
    """
    colors = torch.from_numpy(np.random.default_rng(seed).random((len(index), 3), np.float32))
    pictures = corpus.images[torch.from_numpy(index).to(corpus.images.device)].float() / 255
    colors = colors.to(pictures.device)[:, :, None, None]
    return pictures[:, :3] + colors * (1 - pictures[:, 3:])
