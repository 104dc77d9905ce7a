"""T2I-Adapter's colour condition (Mou et al. 2023): features of a palette, for the UNet."""

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.nn.functional import adaptive_avg_pool2d, interpolate

from ..configs.errors import InputError
from .files import local_folder

if TYPE_CHECKING:
    from ..configs.settings import BaseSettings

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


def require_color_adapter(settings: "BaseSettings") -> None:
    """Raise InputError when the base model has no colour adapter."""
    if not settings.color_adapter:
        raise InputError(
            f"There is no colour adapter for the base model {settings.name!r}. Name one with --set "
            "base.color_adapter=FOLDER, or take another --method."
        )
