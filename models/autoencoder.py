"""An autoencoder's precision: some overflow in fp16, and then compute in fp32."""

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from ..configs.progress import say


def safe_dtype(config: Mapping[str, Any], dtype: torch.dtype) -> torch.dtype:
    """What an autoencoder computes in where the rest does in `dtype`: fp32 if it asks for that.

    config: its own file, which asks with `force_upcast`; diffusers' default for files that do not
    say is no fact about their weights.
    """
    return torch.float32 if dtype == torch.float16 and config.get("force_upcast") else dtype


def in_range(vae: nn.Module, run: Callable[[Tensor], Tensor], given: Tensor) -> Tensor:
    """What `run` makes of `given` in the autoencoder's precision, as fp32.

    Where fp16 overflows it is done again in fp32, and the autoencoder stays there. Infinities that
    were given are nobody's overflow. Only fp16 is looked at, as a look waits for a GPU.
    """
    found = run(given.to(vae.dtype)).float()
    if vae.dtype != torch.float16 or found.isfinite().all() or not given.isfinite().all():
        return found
    say("Note: the base's autoencoder overflows in fp16; it goes on in fp32, at twice the memory.")
    vae.to(torch.float32)
    return run(given.float()).float()
