"""Adapters that take turns within a step: the weights that the network has with each, exchanged.

Of each adapter a copy of the weights that it changes is kept, with the change in them. A call with
that adapter exchanges them: on the starter 2 ms, where peft's own switch takes 57. In half
precision, layers in which rounding would take too much of the change (see `merging.py`) run their
adapter beside their weights.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from .denoiser import Conditioning, Denoiser
from .merging import LARGEST_LOSS, active_layers

if TYPE_CHECKING:
    from .base import BaseModel


@dataclass(frozen=True)
class Turn:
    """What one adapter makes of the denoising network, at one scale."""

    name: str
    """The adapter's name inside peft."""
    scale: float
    weights: Mapping[Any, nn.Parameter]
    """Layers and their weights with the change in them."""
    beside: Sequence[Any]
    """Layers that keep their weights and add the adapter's output."""


@torch.no_grad()
def turn_of(base: "BaseModel", name: str, scale: float) -> Turn:
    """The turn of the adapter that is active alone, as peft calls it, at `scale`."""
    weights, beside = {}, []
    for layer in active_layers(base):
        if name not in layer.lora_A:
            continue
        own, change = layer.get_base_layer().weight, layer.get_delta_weight(name)
        copy = own.detach().clone() + change.to(own.dtype)
        if own.dtype != torch.float32 and _lost(own, copy, change) > LARGEST_LOSS:
            beside.append(layer)
        else:
            weights[layer] = nn.Parameter(copy, requires_grad=False)
    return Turn(name, scale, weights, beside)


def _lost(own: Tensor, copy: Tensor, change: Tensor) -> float:
    """How far the rounded change is from what it should be, in units of the change."""
    size = float(torch.linalg.vector_norm(change.float()))
    left = copy.float() - own.float() - change.float()
    return float(torch.linalg.vector_norm(left)) / size if size else 0.0


@contextmanager
def taken(turn: Turn) -> Iterator[None]:
    """Within it the network is the adapter's, where no adapter is active around it.

    Weights are exchanged, not changed: gradients of what was computed before stay right.
    """
    places = [layer.get_base_layer()._parameters for layer in turn.weights]
    own = [place["weight"] for place in places]
    try:
        for place, weight in zip(places, turn.weights.values(), strict=True):
            place["weight"] = weight
        for layer in turn.beside:
            layer._active_adapter, layer._disable_adapters = [turn.name], False
            layer.set_scale(turn.name, turn.scale)
        yield
    finally:
        for place, weight in zip(places, own, strict=True):
            place["weight"] = weight
        for layer in turn.beside:
            layer._disable_adapters = True


def denoiser_of(base: "BaseModel", turn: Turn) -> Denoiser:
    """The base's denoiser with a turn's adapter, while none is active."""

    def network(z: Tensor, timestep: int | Tensor, conditioning: Conditioning) -> Tensor:
        with taken(turn):
            return base.network(z, timestep, conditioning)

    return replace(base.denoiser, network=network)
