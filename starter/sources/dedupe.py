"""Finds pictures that look the same and keeps the first of each, with the names of all."""

from collections.abc import Iterator, Sequence

import numpy as np
from PIL import Image

from .records import Picture

THUMBNAIL = 12
"""Side of the thumbnails that are compared first."""
MAX_THUMBNAIL_RMS = 1.2
"""Root-mean-square difference of two thumbnails (0-255) up to which the pictures are compared."""
MAX_DIFFERENCE = 1.5
"""Mean absolute difference (0-255, all four channels) below which two pictures look the same."""
ROWS = 1024
"""Pictures compared with all others at once; bounds the memory."""


def dedupe(pictures: Sequence[Picture]) -> list[Picture]:
    """The pictures without later copies; a copy's names go to the picture that stays."""
    kept = [True] * len(pictures)
    for first, second in _candidates(np.stack([thumbnail(p.image) for p in pictures])):
        if kept[first] and kept[second] and _same(pictures[first], pictures[second]):
            kept[second] = False
            pictures[first].merge_names(pictures[second])
    return [picture for picture, keep in zip(pictures, kept, strict=True) if keep]


def thumbnail(image: np.ndarray) -> np.ndarray:
    """Premultiplied colour and alpha of an RGBA picture, averaged to 12 x 12, as [576] floats."""
    pixels = image.astype(np.float32)
    pixels[..., :3] *= pixels[..., 3:] / 255
    small = Image.fromarray(pixels.astype(np.uint8))
    small = small.resize((THUMBNAIL, THUMBNAIL), Image.Resampling.BOX)
    return np.asarray(small, np.float32).ravel()


def _candidates(thumbnails: np.ndarray) -> Iterator[tuple[int, int]]:
    """Pairs (i, j), i < j, in order, whose thumbnails [N, D] differ little."""
    limit = thumbnails.shape[1] * MAX_THUMBNAIL_RMS**2
    lengths = (thumbnails**2).sum(axis=1)
    for start in range(0, len(thumbnails), ROWS):
        block = slice(start, start + ROWS)
        products = thumbnails[block] @ thumbnails.T
        distances = lengths[block, None] + lengths - 2 * products
        for row, second in np.argwhere(distances < limit):
            if start + row < second:
                yield start + row, second


def _same(a: Picture, b: Picture) -> bool:
    return bool(np.abs(a.image.astype(np.int16) - b.image).mean() < MAX_DIFFERENCE)
