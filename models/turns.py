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
from .merging import active_layers, merged_weight, standing_in

if TYPE_CHECKING:
    from .base import BaseModel
    from .deltas import Place


@dataclass(frozen=True)
class Turn:
    """What one adapter makes of the denoising network, at one scale."""

    name: str
    """The adapter's name inside peft."""
    scale: float
    weights: Mapping["Place", nn.Parameter]
    """Weights with the adapter's change in them, by where they belong."""
    beside: Sequence[Any]
    """Layers that keep their weights and add the adapter's output."""


@torch.no_grad()
def turn_of(base: "BaseModel", name: str, scale: float) -> Turn:
    """The turn of the adapter that is active alone, as peft calls it, at `scale`."""
    # What it changes without LoRA is in place while it is active.
    weights = {place: place[0]._parameters[place[1]] for place in base.exchanged}
    beside = []
    for layer in active_layers(base):
        if name not in layer.lora_A:
            continue
        if (changed := merged_weight(layer)) is None:
            beside.append(layer)
        else:
            weights[layer.get_base_layer(), "weight"] = changed
    return Turn(name, scale, weights, beside)


@contextmanager
def taken(turn: Turn) -> Iterator[None]:
    """Within it the network is the adapter's, where no adapter is active around it."""
    with standing_in(turn.weights):
        try:
            for layer in turn.beside:
                layer._active_adapter, layer._disable_adapters = [turn.name], False
                layer.set_scale(turn.name, turn.scale)
            yield
        finally:
            for layer in turn.beside:
                layer._disable_adapters = True


def denoiser_of(base: "BaseModel", turn: Turn) -> Denoiser:
    """The base's denoiser with a turn's adapter, while none is active."""

    def network(z: Tensor, timestep: int | Tensor, conditioning: Conditioning) -> Tensor:
        with taken(turn):
            return base.network(z, timestep, conditioning)

    return replace(base.denoiser, network=network)
