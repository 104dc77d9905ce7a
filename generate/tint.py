"""The optional last step on pixels: what classical photomosaics do, capped and accounted for."""

import torch
from torch import Tensor

from .guidance.band import along_both, area_matrix, spread_matrix


def tint(
    images: Tensor, blocks: Tensor, *, cells: int, amplitude: float
) -> tuple[Tensor, list[float]]:
    """Shift each pixel by at most `amplitude` so that the band's means near the block's.

    images: [K, 3, H, H] and blocks: [K, 3, b, b], both in [0, 1]. Returns tinted images in [0, 1]
    and the correction energy of each: the mean square of the change of its values, 0 where nothing
    was changed. Inside the cap the shift is smooth and exact (`spread_matrix`).
    """
    if amplitude == 0:
        return images, [0.0] * len(images)
    target = along_both(area_matrix(blocks.shape[-1], cells), blocks.to(images))
    missing = target - along_both(area_matrix(images.shape[-1], cells), images)
    shift = along_both(spread_matrix(cells, images.shape[-1]), missing)
    tinted = (images + shift.clamp(-amplitude, amplitude)).clamp(0, 1)
    energy: list[float] = torch.square(tinted - images).mean(dim=(1, 2, 3)).tolist()
    return tinted, energy
