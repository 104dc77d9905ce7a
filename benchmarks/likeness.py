"""Likeness: how alike drawn images and a concept's photos are to the starter's own CLIP.

A score is the mean cosine similarity of an image to all photos of the concept (CLIP-I of Ruiz et
al. 2023, "DreamBooth"). Photos are taken whole, background and all: the shorter side is resized to
the judge's 128 px, and the middle square is kept. This judge is small and has seen drawings only;
its numbers are called starter-CLIP and compare with one another, never with OpenAI's CLIP.
"""

from collections.abc import Iterable
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from PIL import Image, ImageOps
from torch import Tensor

from smalti.models.pixels import to_image
from smalti.train.concept import load_concept


class ImageJudge(Protocol):
    """What is needed of `smalti.generate.evaluate.judge.Judge`."""

    def image_features(self, images: Tensor) -> Tensor:
        """Unit-length embeddings [K, D] of images [K, 3, H, W] in [0, 1]."""
        ...


def read_images(paths: Iterable[Path]) -> list[Tensor]:
    """Images [3, H, W] in [0, 1], upright, each of its own size."""
    found = []
    for path in paths:
        with Image.open(path) as image:
            found.append(to_image(np.asarray(ImageOps.exif_transpose(image).convert("RGB"))))
    return found


def photo_features(judge: ImageJudge, folder: Path) -> Tensor:
    """Embeddings [P, D] of a concept folder's photos; raises InputError as `load_concept` does."""
    photos = read_images(item.path for item in load_concept(folder).images)
    return torch.cat([judge.image_features(photo[None]) for photo in photos])


def likeness(judge: ImageJudge, images: Tensor, photos: Tensor) -> Tensor:
    """Mean cosine similarity [K] of images [K, 3, H, W] in [0, 1] to photos' embeddings [P, D]."""
    return (judge.image_features(images) @ photos.T).mean(dim=1)
