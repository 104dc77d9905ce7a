"""How close a mosaic is to its reference from afar (paper, section 4.2).

Both pictures are brought to 64 px on the shorter side with an antialiased filter, as the paper
reports PSNR and SSIM "at resolution 64"; a square mosaic becomes 64 x 64 px.
"""

from torch import Tensor
from torch.nn.functional import interpolate
from torchmetrics.functional.image import (
    peak_signal_noise_ratio,
    structural_similarity_index_measure,
)

RESOLUTION = 64


def at_resolution(image: Tensor, resolution: int = RESOLUTION) -> Tensor:
    """Image [3, H, W] -> [1, 3, h, w] with the shorter side `resolution`, antialiased."""
    height, width = image.shape[-2:]
    scale = resolution / min(height, width)
    size = (round(height * scale), round(width * scale))
    return interpolate(image[None].float(), size=size, mode="bilinear", antialias=True)


def _pair(mosaic: Tensor, reference: Tensor, resolution: int) -> tuple[Tensor, Tensor]:
    small = at_resolution(reference, resolution)
    shape = small.shape[-2:]
    return interpolate(mosaic[None].float(), size=shape, mode="bilinear", antialias=True), small


def psnr(mosaic: Tensor, reference: Tensor, resolution: int = RESOLUTION) -> float:
    """Peak signal-to-noise ratio in dB of images [3, H, W] in [0, 1] (any two sizes)."""
    return float(peak_signal_noise_ratio(*_pair(mosaic, reference, resolution), data_range=1.0))


def ssim(mosaic: Tensor, reference: Tensor, resolution: int = RESOLUTION) -> float:
    """Structural similarity (11 px Gaussian window, sigma 1.5) of images [3, H, W] in [0, 1]."""
    pair = _pair(mosaic, reference, resolution)
    return float(structural_similarity_index_measure(*pair, data_range=1.0))
