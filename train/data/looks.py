"""What can be measured of one photo: sharpness, light, and where its subject stands."""

from dataclasses import dataclass

import numpy as np
from PIL import Image

SIDE = 256
"""Longer side in pixels at which photos are measured, so that numbers of sizes compare."""
BLACK, WHITE = 8, 247
"""Values of 8 bits from which a pixel counts as clipped."""
USUAL, DARKEST = 128, 12
"""Mean of a usual photo, and the one below which there is noise only."""
EDGES = ("top", "bottom", "left", "right")


@dataclass(frozen=True)
class Place:
    """Where the subject is, by its mask."""

    share: float
    """Of the picture's pixels that are the subject's."""
    x: float
    """Middle of the subject, as a share of the width."""
    y: float
    """Middle of the subject, as a share of the height."""
    touched: dict[str, float]
    """Share of each edge of the picture that is the subject's."""
    middle: float
    """Share of the picture's middle ninth that is the subject's."""


@dataclass(frozen=True)
class Looks:
    """Measurements of one photo."""

    size: tuple[int, int]
    """Width and height of the file in pixels."""
    sharpness: float
    """Variance of the Laplacian (Pech-Pacheco et al. 2000) on the subject, were it of a usual
    brightness: dark photos are not blurred by it."""
    brightness: float
    """Mean of the subject, 0 to 255."""
    black: float
    """Share of the subject that is clipped to black."""
    white: float
    """Share of the subject that is clipped to white."""
    place: Place | None
    """None without a mask, or where it is empty."""


def measure(photo: Image.Image, mask: Image.Image | None) -> Looks:
    """Measure an RGB photo; without a mask, or with an empty one, all of it is the subject."""
    small = photo.convert("L").resize(_small(photo.size), Image.Resampling.LANCZOS)
    gray = np.asarray(small, np.float32)
    inside = np.ones(gray.shape, bool)
    place = None
    if mask is not None:
        soft = mask.convert("L").resize(small.size, Image.Resampling.BOX)
        inside = np.asarray(soft) > 127
        place = place_of(inside)
    subject = inside if place else np.ones(gray.shape, bool)
    brightness = float(gray[subject].mean())
    return Looks(
        size=photo.size,
        sharpness=float(laplacian(gray)[subject].var()) * (USUAL / max(brightness, DARKEST)) ** 2,
        brightness=brightness,
        black=float((gray[subject] <= BLACK).mean()),
        white=float((gray[subject] >= WHITE).mean()),
        place=place,
    )


def place_of(inside: np.ndarray) -> Place | None:
    """Where the subject [h, w] is; None where there is nothing of it."""
    if not inside.any():
        return None
    rows, cols = np.nonzero(inside)
    height, width = inside.shape
    core = inside[height // 3 : height - height // 3, width // 3 : width - width // 3]
    sides = (inside[0], inside[-1], inside[:, 0], inside[:, -1])
    return Place(
        share=float(inside.mean()),
        x=float(cols.mean() + 0.5) / width,
        y=float(rows.mean() + 0.5) / height,
        touched={name: float(side.mean()) for name, side in zip(EDGES, sides, strict=True)},
        middle=float(core.mean()),
    )


def laplacian(gray: np.ndarray) -> np.ndarray:
    """The Laplacian [h, w] by the 3 x 3 stencil of four neighbours; edges are repeated."""
    wide = np.pad(gray, 1, mode="edge")
    around = wide[:-2, 1:-1] + wide[2:, 1:-1] + wide[1:-1, :-2] + wide[1:-1, 2:]
    return around - 4 * gray


def _small(size: tuple[int, int]) -> tuple[int, int]:
    scale = SIDE / max(size)
    return max(1, round(size[0] * scale)), max(1, round(size[1] * scale))
