"""Families of base models, one per file."""

import torch

from ...configs.base import BaseSettings
from ..base import BaseModel
from ..device import resolve_device
from ..locate import locate, reads_twice
from . import sd, sdxl
from .parts import Parts


def load_base(
    settings: BaseSettings,
    *,
    device: str = "auto",
    dtype: torch.dtype = torch.float32,
    attention: str = "sdpa",
    gradients: bool = True,
) -> BaseModel:
    """Load a base model from the package, a local folder, the hub's cache or the hub.

    Its folder says of which family it is. `dtype` is that of all frozen weights; adapters attached
    later stay fp32. `attention` is "sdpa" or "xformers", and `gradients` says whether backward
    passes will run through the network, which decides its kernel on a CPU. Raises InputError when
    the model is not there and cannot be downloaded, when its folder lacks a part, or when device or
    xformers are missing.
    """
    sd.check_attention(attention)
    target = resolve_device(device)
    parts = Parts(settings, locate(settings), target, dtype)
    family = sdxl if reads_twice(parts.folder) else sd
    base = family.load(parts, attention)
    base.set_attention(gradients=gradients)
    return base
