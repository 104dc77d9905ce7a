"""Which of twelve named colours a picture has."""

import numpy as np
import torch
from skimage.color import rgb2lab
from torch import Tensor

from smalti.starter.subjects import subjects_toml

COLORS = (
    *("red", "orange", "yellow", "green", "teal", "blue"),
    *("purple", "pink", "brown", "black", "white", "gray"),
)
BORDER = 8  # px: the frame around a 128-px picture whose mean colour counts as the background's


def border_mean(pictures: Tensor) -> np.ndarray:
    """Mean sRGB colour `[K, 3]` of the outermost BORDER pixels of pictures `[K, 3, S, S]`."""
    frame = torch.ones(pictures.shape[-2:], dtype=torch.bool)
    frame[BORDER:-BORDER, BORDER:-BORDER] = False
    return pictures[:, :, frame].mean(-1).numpy()


def nearest_color(colors: np.ndarray) -> np.ndarray:
    """Index into COLORS of the nearest shade to each sRGB colour `[K, 3]` in [0, 1].

    Distance is Euclidean in CIE Lab (CIE 1976); a name has the shades of `subjects.toml`, which the
    captions were made with, and the nearest of them counts.
    """
    lab = rgb2lab(colors[:, None])
    distances = []
    for name in COLORS:
        shades = rgb2lab(np.array(subjects_toml()["colors"][name])[None] / 255)
        distances.append(np.linalg.norm(lab - shades, axis=-1).min(1))
    return np.argmin(distances, axis=0)
