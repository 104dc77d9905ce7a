"""T2I-Adapter's colour condition (Mou et al. 2023): features of a palette, for the UNet."""

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.nn.functional import adaptive_avg_pool2d, interpolate

from ..configs.errors import InputError
from .locate import local_folder, require_color_adapter

if TYPE_CHECKING:
    from ..configs.base import BaseSettings
    from .base import BaseModel

PALETTE_CELLS = 8  # of a picture's side, as the published adapter saw them: 64 px each at 512 px


def palette(pictures: Tensor) -> Tensor:
    """Flat squares of the mean colours of 8 x 8 cells; pictures [K, 3, H, H], H a multiple of 8."""
    cells = adaptive_avg_pool2d(pictures, PALETTE_CELLS)
    return interpolate(cells, size=pictures.shape[-2:], mode="nearest")


def load_color_adapter(settings: "BaseSettings", device: torch.device, dtype: torch.dtype) -> Any:
    """The T2IAdapter that `base.color_adapter` names, a folder or hub id.

    It maps palettes [K, 3, H, H] in [0, 1] to one tensor per level of the UNet. Raises InputError
    when there is none.
    """
    from diffusers import T2IAdapter

    source = settings.color_adapter
    require_color_adapter(settings)
    try:
        adapter = T2IAdapter.from_pretrained(local_folder(source) or source, torch_dtype=dtype)
    except OSError as error:
        raise InputError(
            f"No colour adapter at {source!r}. Repeat the command with a network connection, or "
            "give a folder with --set base.color_adapter=FOLDER."
        ) from error
    return adapter.to(device).requires_grad_(False).eval()


@torch.no_grad()
def palette_features(base: "BaseModel", pictures: Tensor, scale: float) -> list[Tensor]:
    """What the adapter adds at each level of the UNet for pictures [K, 3, H, H], times `scale`."""
    palettes = palette(pictures).to(base.device, base.dtype)
    return [scale * features for features in base.color_adapter(palettes)]
