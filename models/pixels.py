"""Pictures as tensors and as 8-bit pixels."""

import numpy as np
import torch
from torch import Tensor


def to_pixels(image: Tensor) -> np.ndarray:
    """Image [3, H, W], nominally in [0, 1] -> 8-bit pixels [H, W, 3]."""
    levels = (image.detach().float().clamp(0, 1) * 255).round().to(torch.uint8)
    return levels.permute(1, 2, 0).contiguous().cpu().numpy()


def to_image(pixels: np.ndarray) -> Tensor:
    """8-bit pixels [H, W, 3] -> image [3, H, W] in [0, 1]."""
    return torch.from_numpy(np.array(pixels)).permute(2, 0, 1).float() / 255
