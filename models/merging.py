"""Adapters merged into a network's weights while tiles are drawn: no extra products per call.

A weight in half precision is rounded once more when something is added to it. Of a strong adapter
that takes a few thousandths, of a weak one a tenth or all: what is smaller than half the distance
between two such numbers is gone. Layers in which it takes too much keep their adapter beside their
weights, as in training, which costs a cast and two small products per call.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from .base import BaseModel

LARGEST_LOSS = 0.03  # share of a layer's change that rounding may take, or add


@contextmanager
def merged(base: BaseModel) -> Iterator[None]:
    """Within it, the active LoRA of the denoising network is part of its weights.

    In half precision only where rounding leaves it as it is (LARGEST_LOSS). Afterwards the weights
    are what they were, bit for bit; subtracting would leave rounding errors. So they are also when
    memory runs out before all layers are merged.
    """
    layers = [layer for layer in base.lora_parts()[0].module.modules() if _is_active(layer)]
    kept = [layer.get_base_layer().weight.detach().clone() for layer in layers]
    try:
        with torch.no_grad():
            for layer, weight in zip(layers, kept, strict=True):
                _merge(layer, weight)
        yield
    finally:
        with torch.no_grad():
            for layer, weight in zip(layers, kept, strict=True):
                _restore(layer, weight)


def _merge(layer: Any, before: Tensor) -> None:
    layer.merge()
    if before.dtype != torch.float32 and lost_share(layer, before) > LARGEST_LOSS:
        _restore(layer, before)


def lost_share(layer: Any, before: Tensor) -> float:
    """How far a merged weight is from what it should be, in units of the change; 0 without one.

    before: the weight as it was.
    """
    wanted = sum(layer.get_delta_weight(name).float() for name in layer.merged_adapters)
    change = layer.get_base_layer().weight.float() - before.float()
    size = float(torch.linalg.vector_norm(wanted))
    return float(torch.linalg.vector_norm(change - wanted)) / size if size else 0.0


def _restore(layer: Any, weight: Tensor) -> None:
    if layer.merged:
        layer.unmerge()
    layer.get_base_layer().weight.copy_(weight)


def _is_active(layer: nn.Module) -> bool:
    return hasattr(layer, "merge") and not layer.disable_adapters and bool(layer.active_adapters)
