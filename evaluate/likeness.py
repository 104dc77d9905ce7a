"""Likeness: how alike drawn images and a concept's photos are to the starter's own CLIP.

A score is the mean cosine similarity of an image to all photos of the concept (CLIP-I of Ruiz et
al. 2023, "DreamBooth"). Photos are taken whole, background and all: the shorter side is resized to
the judge's 128 px, and the middle square is kept. This judge is small and has seen drawings only;
its numbers are called starter-CLIP and compare with one another, never with OpenAI's CLIP.

The judge is easily misled by pictures unlike those it learned from: blobs of random colours can
score almost like the concept's own photos. So every likeness is to be read beside its landmarks;
it says nothing where it does not exceed that of noise. Look at the sheets as well.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import torch
from torch import Tensor
from torch.nn.functional import interpolate

from ..models.metrics import psnr, ssim
from .pictures import read_images, tile_batches

NOISE_SCALES = (4, 8, 16, 32, 128)  # cells a side, from a few large blobs to single pixels
NOISE_IMAGES = 32  # of each scale
NOISE_SIDE = 128  # px
BATCH = 64  # tiles that are looked at together


class ImageJudge(Protocol):
    """What is needed of `judge.Judge`."""

    def image_features(self, images: Tensor) -> Tensor:
        """Unit-length embeddings [K, D] of images [K, 3, H, W] in [0, 1]."""
        ...


@dataclass(frozen=True)
class Landmarks:
    """Two values on the scale of a concept's likeness, without which it cannot be read."""

    noise: float
    """Likeness of blobs of random colours: what lies below may be a picture of nothing."""
    photos: float
    """Mean likeness of the concept's photos to one another."""


def photo_features(judge: ImageJudge, photos: Iterable[Path]) -> Tensor:
    """Embeddings [P, D] of the files of a concept's photos, each taken whole."""
    return torch.cat([judge.image_features(photo[None]) for photo in read_images(photos)])


def likeness(judge: ImageJudge, images: Tensor, photos: Tensor) -> Tensor:
    """Mean cosine similarity [K] of images [K, 3, H, W] in [0, 1] to photos' embeddings [P, D]."""
    return (judge.image_features(images) @ photos.T).mean(dim=1)


def fidelity_and_likeness(folder: Path, judge: ImageJudge, photos: Tensor) -> dict[str, float]:
    """PSNR@64 (dB) and SSIM@64 of a finished mosaic, and its tiles' mean likeness.

    photos: embeddings [P, D], as `photo_features` makes them.
    """
    mosaic, reference = read_images([folder / "mosaic.png", folder / "reference.png"])
    alike = torch.cat([likeness(judge, tiles, photos) for tiles in tile_batches(folder, BATCH)])
    return {
        "psnr": psnr(mosaic, reference),
        "ssim": ssim(mosaic, reference),
        "likeness": float(alike.mean()),
    }


def landmarks(judge: ImageJudge, photos: Tensor) -> Landmarks:
    """What likeness to photos' embeddings [P, D] is worth, for pictures of nothing and for photos.

    The noise is uniform in every channel; of its scales the most misleading one counts.
    """
    pairs, count = photos @ photos.T, len(photos)
    others = (pairs.sum() - pairs.diagonal().sum()) / (count * (count - 1))
    means = [float(likeness(judge, noise, photos).mean()) for noise in _noise()]
    return Landmarks(noise=max(means), photos=float(others))


def _noise() -> Iterable[Tensor]:
    """Blobs of random colours [NOISE_IMAGES, 3, H, W] at every scale."""
    generator = torch.Generator().manual_seed(0)
    for cells in NOISE_SCALES:
        small = torch.rand(NOISE_IMAGES, 3, cells, cells, generator=generator)
        yield interpolate(small, size=NOISE_SIDE, mode="bicubic").clamp(0, 1)
