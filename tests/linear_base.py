"""A base whose autoencoder can be written down: what guides do to it has closed forms."""

import torch

from smalti.models.denoising import Step
from smalti.models.linear_decoder import LinearDecoder

MATRIX = torch.tensor([[0.2, 0.1, 0.0, -0.1], [0.0, 0.3, 0.1, 0.0], [0.1, 0.0, 0.2, 0.1]])
BIAS = torch.tensor([0.5, 0.4, 0.6])


class LinearBase:
    """A base whose decoder is a linear map per latent pixel, repeated 8 x 8 times, and bent."""

    def __init__(self, bend: float = 0.0):
        self.linear_decoder = LinearDecoder(MATRIX, BIAS, torch.eye(4), 1.0)
        self.bend = bend

    def decode(self, latents):
        rgb = torch.einsum("rc,kchw->krhw", MATRIX, latents) + BIAS[:, None, None]
        rgb = rgb + self.bend * (rgb - 0.5)
        return rgb.repeat_interleave(8, 2).repeat_interleave(8, 3)


def step(index: int = 0, count: int = 10) -> Step:
    return Step(index=index, count=count, timestep=500, alpha=0.6, sigma=0.8, carry=1.0)


def means(images, cells):
    """Means of cells, by loops."""
    side = images.shape[-1] // cells
    out = torch.empty(*images.shape[:2], cells, cells)
    for i in range(cells):
        for j in range(cells):
            cell = images[:, :, i * side : (i + 1) * side, j * side : (j + 1) * side]
            out[:, :, i, j] = cell.mean(dim=(2, 3))
    return out
