"""The LoRA of adapters: which layers carry it, how it starts, and what peft calls it."""

import math
from collections.abc import Iterable, Iterator
from functools import cache
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from ..configs.train import TrainSettings
from .base import BaseModel, LoraPart
from .orthogonal import fix_down
from .principal import PrincipalStart

if TYPE_CHECKING:
    from .adapter import Adapter


def lora_facts(settings: TrainSettings) -> dict[str, Any]:
    """What an adapter's LoRA is, by the settings.

    rsLoRA (Kalajdzievski 2023, Eq. 6) scales by alpha / sqrt(rank), which is LoRA of a larger alpha
    and is kept as such, so that every reader scales it rightly.
    """
    rank = settings.rank
    stabilised = math.sqrt(rank) if settings.lora_variant == "rslora" else 1.0
    return {
        "rank": rank,
        "alpha": float(settings.lora_alpha or rank) * stabilised,
        "dora": settings.lora_variant == "dora",
        "targets": settings.targets,
    }


def start_lora(
    base: BaseModel, adapter: "Adapter", settings: TrainSettings, generator: torch.Generator
) -> None:
    """Give a fresh adapter's LoRA its first values: nothing, or principal directions.

    With `train.orthogonal` its down projections are those of a slot, and stay so.
    """
    _initialise(base, adapter, generator)
    if settings.orthogonal is not None:
        fix_down(lora_parameters(base, adapter), settings.orthogonal)
        adapter.fixed_down = True
    if settings.lora_variant != "pissa":
        return
    found = dict(lora_parameters(base, adapter))
    pairs = {
        key.removesuffix(".lora_A.weight"): (found[key], found[key.replace(".lora_A.", ".lora_B.")])
        for key in found
        if key.endswith(".lora_A.weight")
    }
    adapter.principal = PrincipalStart(base, pairs, adapter.alpha / adapter.rank)
    adapter.deltas = adapter.principal.rest


def peft_settings(adapter: "Adapter", part: LoraPart) -> dict[str, Any]:
    """What peft and diffusers call the LoRA of one part."""
    targets = list(part.targets[adapter.targets])
    twice = 2 if adapter.principal else 1  # only where it is saved; it learns with its own rank
    facts = {"r": adapter.rank * twice, "lora_alpha": adapter.alpha * twice}
    return {**facts, "target_modules": targets, **({"use_dora": True} if adapter.dora else {})}


@torch.no_grad()
def _initialise(base: BaseModel, adapter: "Adapter", generator: torch.Generator) -> None:
    """A Kaiming-uniform with a = sqrt(5), B zero, from our own generator."""
    for key, parameter in lora_parameters(base, adapter):
        start = torch.zeros(parameter.shape)
        if ".lora_magnitude_vector" in key:
            continue  # the norms of the base's own weights, as peft sets them
        if ".lora_A." in key:
            nn.init.kaiming_uniform_(start, a=math.sqrt(5), generator=generator)
        parameter.copy_(start)


def lora_layers(base: BaseModel) -> Iterator[tuple[str, Any]]:
    """All layers that carry LoRA, under the names that the file uses."""
    for part in base.lora_parts():
        for name, layer in part.module.named_modules():
            if _carries_lora(type(layer)):
                yield f"{part.prefix}.{name}", layer


@cache
def _carries_lora(kind: type) -> bool:
    """Asked once for a kind of module: peft's classes are abstract ones, which answer slowly."""
    from peft.tuners.lora import LoraLayer

    return issubclass(kind, LoraLayer)


def lora_parameters(base: BaseModel, adapter: "Adapter") -> Iterator[tuple[str, nn.Parameter]]:
    """What of an adapter's LoRA learns, under its names in the file."""
    return parameters_in(lora_layers(base), adapter)


def parameters_in(
    layers: Iterable[tuple[str, Any]], adapter: "Adapter"
) -> Iterator[tuple[str, nn.Parameter]]:
    """What of an adapter's LoRA learns in layers that `lora_layers` named."""
    for name, layer in layers:
        if adapter.peft_name in layer.lora_A:
            yield f"{name}.lora_A.weight", layer.lora_A[adapter.peft_name].weight
            yield f"{name}.lora_B.weight", layer.lora_B[adapter.peft_name].weight
        if adapter.peft_name in layer.lora_magnitude_vector:
            magnitude = layer.lora_magnitude_vector[adapter.peft_name].weight
            yield f"{name}.lora_magnitude_vector", magnitude
