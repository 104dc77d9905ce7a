"""Contact sheets."""

from pathlib import Path

import torch
from einops import rearrange
from PIL import Image
from torch import Tensor

from ..configs.files import replacing


def contact_sheet(pictures: Tensor, columns: int) -> Image.Image:
    """Pictures `[K, 3, H, W]` in [0, 1], row by row; a last row may be shorter."""
    shown = pictures.float().cpu().clamp(0, 1)
    blank = shown.new_ones(-len(shown) % columns, *shown.shape[1:])
    shown = torch.cat([shown, blank])
    sheet = rearrange(shown, "(r c) k h w -> (r h) (c w) k", c=columns)
    return Image.fromarray((sheet * 255).round().byte().numpy())


def save_contact_sheet(pictures: Tensor, path: Path, columns: int) -> None:
    """Write a contact sheet, whole or not at all."""
    with replacing(path) as temporary:
        contact_sheet(pictures, columns).save(temporary, format="PNG")
