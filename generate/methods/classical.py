"""Classical photomosaics: a pool's picture in every block, and what may be done to its pixels.

The paper's non-generative baselines (section 4.1): the best match with or without tone adjustment,
tone mapping, histogram matching. Every change of pixels counts as correction energy.
"""

import numpy as np
import torch
from torch import Tensor

from ...configs.settings import MosaicSettings
from ..color import match_statistics


def adjust(images: Tensor, blocks: Tensor, mosaic: MosaicSettings) -> Tensor:
    """What the method does to pool pictures [K, 3, H, H] for blocks [K, 3, b, b], all in [0, 1]."""
    if mosaic.method == "histogram":
        return match_histograms(images, blocks)
    share = mosaic.tone_adjustment if mosaic.method == "match" else 1.0
    return images + share * (map_tone(images, blocks) - images) if share else images


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
