"""What classical photomosaics do to a picture's pixels: tone mapping and histogram matching.

Every change counts as correction energy.
"""

import numpy as np
import torch
from torch import Tensor

from ..alignment import match_statistics


def moved(images: Tensor, target: Tensor, share: float) -> Tensor:
    """Images [K, 3, H, H] moved a share of the way towards others of the same shape."""
    return images + share * (target - images)


def map_tone(images: Tensor, blocks: Tensor) -> Tensor:
    """Give each channel its block's mean and deviation, as far as [0, 1] lets it."""
    mean, std = blocks.mean(dim=(2, 3), keepdim=True), blocks.std(dim=(2, 3), correction=0)
    return match_statistics(images, mean, std[..., None, None]).clamp(0, 1)


def match_histograms(images: Tensor, blocks: Tensor) -> Tensor:
    """Give each channel of images [K, 3, H, H] its block's histogram; blocks: [K, 3, b, b]."""
    pairs = zip(images.flatten(0, 1).cpu(), blocks.flatten(0, 1).cpu(), strict=True)
    matched = [_match_channel(image.numpy(), block.numpy()) for image, block in pairs]
    return torch.from_numpy(np.stack(matched)).to(images).unflatten(0, images.shape[:2])


def _match_channel(values: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """Monotone map that takes the quantiles of `values` to those of `wanted`.

    The quantile of a value is the share of pixels that do not exceed it; between the values that
    occur in `wanted` it is interpolated.
    """
    levels, place, counts = np.unique(values, return_inverse=True, return_counts=True)
    targets, target_counts = np.unique(wanted, return_counts=True)
    quantiles = np.cumsum(counts) / values.size
    mapped = np.interp(quantiles, np.cumsum(target_counts) / wanted.size, targets)
    return mapped.astype(values.dtype)[place.reshape(values.shape)]
