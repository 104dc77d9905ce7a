"""Adapters merged into a network's weights while tiles are drawn: no extra products per call."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn

from .base import BaseModel


@contextmanager
def merged(base: BaseModel) -> Iterator[None]:
    """Within it, the active LoRA of the denoising network is part of its weights.

    Afterwards the weights are what they were, bit for bit; subtracting would leave rounding errors.
    So they are also when memory runs out before all layers are merged.
    """
    layers = [layer for layer in base.lora_parts()[0].module.modules() if _is_active(layer)]
    kept = [layer.get_base_layer().weight.detach().clone() for layer in layers]
    try:
        with torch.no_grad():
            for layer in layers:
                layer.merge()
        yield
    finally:
        with torch.no_grad():
            for layer, weight in zip(layers, kept, strict=True):
                _restore(layer, weight)


def _restore(layer: Any, weight: torch.Tensor) -> None:
    if layer.merged:
        layer.unmerge()
    layer.get_base_layer().weight.copy_(weight)


def _is_active(layer: nn.Module) -> bool:
    return hasattr(layer, "merge") and not layer.disable_adapters and bool(layer.active_adapters)
