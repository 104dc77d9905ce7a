"""The optional last step on pixels: what classical photomosaics do, capped and accounted for."""

import torch
from torch import Tensor

from ..models.band import along_both, area_matrix, mean_shift


def tint(images: Tensor, blocks: Tensor, *, cells: int, amplitude: float) -> Tensor:
    """Shift each pixel by at most `amplitude` so that the band's means near the block's.

    images: [K, 3, H, H] and blocks: [K, 3, b, b], both in [0, 1]. Returns tinted images in [0, 1].
    Inside the cap the shift is smooth and exact (`mean_shift`).
    """
    if amplitude == 0:
        return images
    target = along_both(area_matrix(blocks.shape[-1], cells), blocks.to(images))
    shift = mean_shift(images, target)
    return (images + shift.clamp(-amplitude, amplitude)).clamp(0, 1)


def correction_energy(images: Tensor, before: Tensor) -> list[float]:
    """How far pixels were changed: the mean square of the change of each image [K, 3, H, W].

    0 exactly where nothing was changed; values in [0, 1].
    """
    energy: list[float] = torch.square(images - before).mean(dim=(1, 2, 3)).tolist()
    return energy
