"""Adapters merged into a network's weights while tiles are drawn: no extra products per call.

A weight in half precision is rounded once more when something is added to it. Of a strong adapter
that takes a few thousandths, of a weak one a tenth or all: what is smaller than half the distance
between two such numbers is gone. Layers in which it takes too much keep their adapter beside their
weights, as in training, which costs a cast and two small products per call.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

if TYPE_CHECKING:
    from .base import BaseModel
    from .deltas import Place

LARGEST_LOSS = 0.03  # share of a layer's change that rounding may take, or add


@contextmanager
def merged(base: "BaseModel") -> Iterator[None]:
    """Within it, the active LoRA of the denoising network is part of its weights.

    In half precision only where rounding leaves it as it is (LARGEST_LOSS). The base's own weights
    are put aside and come back untouched; subtracting would leave rounding errors. So they do also
    when memory runs out before all layers are merged.
    """
    layers = active_layers(base)
    own = [layer.get_base_layer().weight for layer in layers]
    try:
        for layer, weight in zip(layers, own, strict=True):
            _merge(layer, weight)
            base.own_weights[layer] = weight
        yield
    finally:
        base.own_weights.clear()
        for layer, weight in zip(layers, own, strict=True):
            _restore(layer, weight)


@contextmanager
def without_adapters(base: "BaseModel") -> Iterator[None]:
    """Within it the denoising network is the base's own, be adapters merged or beside weights."""
    # At every step of every batch: all modules are looked through only where nothing is merged, and
    # parameters change places without what torch's own assignment checks.
    has_lora = any(adapter.rank for adapter in base.adapters.values())
    layers = list(base.own_weights) or (active_layers(base) if has_lora else [])
    beside = [layer for layer in layers if not layer.merged]
    own = {
        (layer.get_base_layer(), "weight"): base.own_weights[layer]
        for layer in layers
        if layer.merged
    }
    with standing_in(own | base.exchanged):
        try:
            for layer in beside:
                layer._disable_adapters = True  # peft's own switch also sets what has gradients
            yield
        finally:
            for layer in beside:
                layer._disable_adapters = False


@contextmanager
def standing_in(weights: Mapping["Place", nn.Parameter]) -> Iterator[None]:
    """Within it these weights stand where they belong, in place of those that are there.

    Weights are exchanged, not changed: gradients of what was computed before stay right.
    """
    there = [(module._parameters, name) for module, name in weights]
    before = [place[name] for place, name in there]
    try:
        for (place, name), weight in zip(there, weights.values(), strict=True):
            place[name] = weight
        yield
    finally:
        for (place, name), weight in zip(there, before, strict=True):
            place[name] = weight


@torch.no_grad()
def _merge(layer: Any, own: nn.Parameter) -> None:
    half = own.dtype != torch.float32
    if half and any(name in layer.lora_magnitude_vector for name in layer.active_adapters):
        return  # DoRA turns and scales the whole weight: half precision would round all of it
    copy = nn.Parameter(own.detach().clone(), requires_grad=False)
    layer.get_base_layer().weight = copy
    layer.merge()
    if half and lost_share(layer, own) > LARGEST_LOSS:
        _restore(layer, own)


@torch.no_grad()
def merged_weight(layer: Any) -> nn.Parameter | None:
    """A copy of a layer's weight with its active LoRA in it; None where rounding takes too much."""
    own = layer.get_base_layer().weight
    _merge(layer, own)
    copy = layer.get_base_layer().weight.detach().clone() if layer.merged else None
    _restore(layer, own)
    return None if copy is None else nn.Parameter(copy, requires_grad=False)


def lost_share(layer: Any, before: Tensor) -> float:
    """How far a merged weight is from what it should be, in units of the change; 0 without one.

    before: the weight as it was.
    """
    wanted = sum(layer.get_delta_weight(name).float() for name in layer.merged_adapters)
    change = layer.get_base_layer().weight.float() - before.float()
    size = float(torch.linalg.vector_norm(wanted))
    return float(torch.linalg.vector_norm(change - wanted)) / size if size else 0.0


def _restore(layer: Any, own: nn.Parameter) -> None:
    with torch.no_grad():
        if layer.merged:
            layer.unmerge()
    layer.get_base_layer().weight = own


def active_layers(base: "BaseModel") -> list[Any]:
    """The layers of the denoising network whose LoRA acts."""
    return [layer for layer in base.lora_parts()[0].module.modules() if _is_active(layer)]


def _is_active(layer: nn.Module) -> bool:
    if not hasattr(layer, "merge") or layer.disable_adapters:
        return False
    # An adapter need not have all layers that another one has.
    return any(name in layer.lora_A for name in layer.active_adapters)
