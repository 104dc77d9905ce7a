"""How close a mosaic is to its reference from afar (paper, section 4.2).

Both pictures are brought to 64 px on the shorter side with an antialiased filter, as the paper
reports PSNR and SSIM "at resolution 64"; a square mosaic becomes 64 x 64 px.
"""

import torch
from torch import Tensor
from torch.nn.functional import conv2d, interpolate, pad

from .lpips import Lpips

RESOLUTION = 64
RESOLUTIONS = (32, 64, 128, 256)  # px at which the paper measures
PYRAMID_RESOLUTION = 256  # of level 0: the largest at which the paper measures
PYRAMID_LEVELS = 4


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
    # Here and not above: with it come SciPy and Matplotlib, for which no start-up should wait.
    from torchmetrics.functional.image import peak_signal_noise_ratio

    return float(peak_signal_noise_ratio(*_pair(mosaic, reference, resolution), data_range=1.0))


def ssim(mosaic: Tensor, reference: Tensor, resolution: int = RESOLUTION) -> float:
    """Structural similarity (11 px Gaussian window, sigma 1.5) of images [3, H, W] in [0, 1]."""
    from torchmetrics.functional.image import structural_similarity_index_measure

    pair = _pair(mosaic, reference, resolution)
    return float(structural_similarity_index_measure(*pair, data_range=1.0))


@torch.no_grad()
def lpips(mosaic: Tensor, reference: Tensor, network: Lpips, resolution: int = RESOLUTION) -> float:
    """Perceptual distance (LPIPS, AlexNet) of images as in `psnr`; `resolution` is 32 or more.

    At 32 px the network's last three layers see a single place.
    """
    return float(network(*_pair(mosaic, reference, resolution)))


def pyramid_errors(mosaic: Tensor, reference: Tensor) -> list[float]:
    """Mean squared error of Gaussian-pyramid levels 1 to 4 (paper, Eq. 11), images as in `psnr`.

    Level 0 has 256 px on the shorter side, which the paper leaves open; each level is smoothed and
    halved from the one before, so that level 4 has 16 px.
    """
    pair = torch.cat(_pair(mosaic, reference, PYRAMID_RESOLUTION))
    errors = []
    for _ in range(PYRAMID_LEVELS):
        pair = _next_level(pair)
        errors.append(float((pair[0] - pair[1]).square().mean()))
    return errors


def _next_level(images: Tensor) -> Tensor:
    """Images [K, 3, h, w] smoothed by the binomial 1 4 6 4 1 (Burt & Adelson 1983) and halved."""
    row = torch.tensor([1.0, 4.0, 6.0, 4.0, 1.0]) / 16
    kernel = torch.outer(row, row).expand(3, 1, 5, 5).to(images)
    return conv2d(pad(images, (2, 2, 2, 2), mode="reflect"), kernel, stride=2, groups=3)
