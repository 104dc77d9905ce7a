"""A linear latent->RGB map, fitted once per autoencoder: what a latent pixel's colour will be."""

import os
import tempfile
from contextlib import suppress
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor
from torch.nn.functional import avg_pool2d, interpolate

from ..configs.errors import SmaltiError
from ..configs.files import replacing

if TYPE_CHECKING:
    from .base import BaseModel

PICTURES = 32
BATCH = 8
SIDE = 128  # px; maps do not depend on the picture's size
RIDGE = 1e-6  # of the mean variance, where pictures leave a direction of the latents unused
POOR_FIT = 0.6  # R^2 below which what rests on the map leaves most of what it should remove
OCTAVES = (1, 2, 4, 8, 16)  # cells a side, from one flat colour to the size of a latent pixel


@dataclass(frozen=True)
class LinearDecoder:
    """RGB = matrix @ latent + bias per latent pixel, nominally in [0, 1]."""

    matrix: Tensor
    """[3, C]."""
    bias: Tensor
    """[3]."""
    covariance: Tensor
    """[C, C], of latent pixels that decode to pictures."""
    fit: float
    """R^2 of the fit: the share of the colours' variance that the map explains."""

    def __call__(self, latents: Tensor) -> Tensor:
        """Latents [K, C, h, w] -> colours [K, 3, h, w] of their pixels."""
        colors = torch.einsum("rc,kchw->krhw", self.matrix.to(latents), latents)
        return colors + self.bias.to(latents)[:, None, None]

    def lift(self, rgb: Tensor) -> Tensor:
        """The likeliest change of latents [K, C, h, w] that changes colours by rgb [K, 3, h, w].

        Smallest in units of the latents' own spread: of Gaussian latents with covariance S it is
        the mean given the colour, S M^T (M S M^T)^-1 rgb. The change of smallest plain norm lets
        channels that pictures move together drift apart, and decodes to hatching and hard edges.
        """
        return torch.einsum("cr,krhw->kchw", self._inverse.to(rgb), rgb)

    @cached_property
    def _inverse(self) -> Tensor:
        """[C, 3]; with L L^T = S it is L (M L)+, which also stands a map of lower rank."""
        covariance = self.covariance.double()
        ridge = RIDGE * covariance.trace() / len(covariance)
        root = torch.linalg.cholesky(covariance + ridge * torch.eye(len(covariance)))
        return (root @ torch.linalg.pinv(self.matrix.double() @ root)).float()


def cache_folder() -> Path:
    """Where fitted maps are kept, some hundred bytes each: smalti/ in the user's cache."""
    if kept := os.environ.get("XDG_CACHE_HOME"):
        return Path(kept) / "smalti"
    try:
        return Path.home() / ".cache" / "smalti"
    except RuntimeError:  # nobody's home, as for a number without a name in a container
        return Path(tempfile.gettempdir()) / "smalti"


def linear_decoder(base: "BaseModel", cache: Path | None = None) -> LinearDecoder:
    """The map of a base's autoencoder, from the folder `cache` if it was fitted before.

    The file's name is a hash of the autoencoder's weights and the precision they compute in; a file
    that cannot be read is made anew, and one that cannot be written is done without: a fit takes
    seconds.
    """
    cache = cache or cache_folder()
    precision = str(base.dtype).removeprefix("torch.")
    path = cache / f"latent-rgb-{base.vae_fingerprint}-{precision}.safetensors"
    try:
        kept = load_file(path)
        return LinearDecoder(**{**kept, "fit": float(kept["fit"])})
    except Exception:  # noqa: BLE001 - missing, damaged, of another version: all of them mean refit
        fitted = fit_linear_decoder(base)
    with suppress(SmaltiError), replacing(path) as temporary:
        save_file({**asdict(fitted), "fit": torch.tensor(fitted.fit)}, temporary)
    return fitted


@torch.no_grad()
def fit_linear_decoder(base: "BaseModel") -> LinearDecoder:
    """Least squares from latents of random smooth pictures to the colours that they decode to."""
    inputs, colors = [], []
    for pictures in random_pictures(PICTURES).split(BATCH):
        latents = base.encode(pictures)
        decoded = base.decode(latents).clamp(0, 1)
        colors.append(avg_pool2d(decoded, base.latent_factor).cpu())
        inputs.append(latents.cpu())
    x = torch.cat(inputs).movedim(1, -1).flatten(0, -2).double()
    y = torch.cat(colors).movedim(1, -1).flatten(0, -2).double()
    ones = torch.ones(len(x), 1, dtype=torch.float64)
    solution = torch.linalg.lstsq(torch.cat([x, ones], 1), y).solution
    residual = y - torch.cat([x, ones], 1) @ solution
    fit = 1 - float(residual.square().sum() / (y - y.mean(0)).square().sum())
    matrix, bias = solution[:-1].T.float().contiguous(), solution[-1].float()
    return LinearDecoder(matrix, bias, torch.cov(x.T).float(), fit)


def random_pictures(count: int) -> Tensor:
    """Pictures [count, 3, SIDE, SIDE] in [0, 1] with structure of every size, always the same."""
    g = torch.Generator().manual_seed(0)
    picture = torch.zeros(count, 3, SIDE, SIDE)
    for cells in OCTAVES:
        noise = torch.rand(count, 3, cells, cells, generator=g) - 0.5
        weight = torch.rand(count, 1, 1, 1, generator=g)
        picture += weight * interpolate(noise, size=(SIDE, SIDE), mode="bicubic")
    return (picture + 0.5).clamp(0, 1)
