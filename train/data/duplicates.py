"""Photos that show nearly the same: they teach a picture, not a subject."""

from collections.abc import Sequence
from typing import Any

from PIL import Image

PERCEPTUAL, GRADIENT = 6, 7  # bits of 64 that differ; samples differ in 8 and more of the first


def prints_of(photo: Image.Image) -> tuple[Any, Any]:
    """Two hashes of an RGB photo: of its low frequencies, and of its gradients."""
    import imagehash

    return imagehash.phash(photo), imagehash.dhash(photo)


def earlier_twins(prints: Sequence[tuple[Any, Any]]) -> list[int | None]:
    """For each photo the first one before it that is nearly the same, None without one."""
    return [
        next((first for first in range(index) if _alike(prints[first], own)), None)
        for index, own in enumerate(prints)
    ]


def _alike(one: tuple[Any, Any], other: tuple[Any, Any]) -> bool:
    return one[0] - other[0] <= PERCEPTUAL and one[1] - other[1] <= GRADIENT
