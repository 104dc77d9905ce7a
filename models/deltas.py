"""Weights of the base that an adapter replaces: whole layers that were trained, or left a rest.

An adapter's file holds what its training added to a weight, `KEY.delta`; the base's own weights are
put aside and come back untouched. Weights change places, as in `merging.py`: a module's entry is
exchanged, so that gradients of what was computed before stay right and nothing is rounded twice.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from ..configs.errors import InputError

if TYPE_CHECKING:
    from .base import BaseModel

Place = tuple[nn.Module, str]
"""A module, and the name of a weight in it."""
SUFFIX = ".delta"


class WeightDeltas:
    """The weights that one adapter changes, by their names in its file.

    Either they learn, then `tuned` holds fp32 copies that an optimiser moves, or what was added to
    them is given, then it stands in `fixed`.
    """

    def __init__(self, base: "BaseModel", keys: Iterable[str]) -> None:
        """Raises InputError when the base has no weight of a name."""
        found, keys = dict(named_places(base)), list(keys)
        if unknown := [key for key in keys if key not in found]:
            raise InputError(f"{unknown[0]} is no weight of base {base.settings.name!r}")
        self.places = {key: found[key] for key in keys}
        self.own = {key: _own(base, place) for key, place in self.places.items()}
        self.tuned: dict[str, nn.Parameter] = {}
        self.fixed: dict[str, Tensor] = {}

    def learn(self) -> None:
        """Begin to learn, from the base's own weights."""
        copies = {key: own.detach().float().clone() for key, own in self.own.items()}
        self.tuned = {key: nn.Parameter(copy) for key, copy in copies.items()}

    def delta(self, key: str) -> Tensor:
        """What is added to a weight, without gradient."""
        if key in self.fixed:
            return self.fixed[key]
        return self.tuned[key].detach() - self.own[key].detach().float()

    def weight(self, key: str, before: nn.Parameter, scale: float) -> nn.Parameter:
        """What stands in place of a weight: the one that learns, or `before` and its change."""
        if key in self.tuned and scale == 1:
            return self.tuned[key]
        change = self.delta(key).to(before.device, torch.float32)
        changed = before.detach().float() + scale * change
        return nn.Parameter(changed.to(before.dtype), requires_grad=False)


def exchange(base: "BaseModel", active: Sequence[WeightDeltas], scale: float) -> None:
    """Put exactly these adapters' weights in place, at `scale` times their change; () is none."""
    for (module, name), own in base.exchanged.items():
        module._parameters[name] = own
    base.exchanged.clear()
    for deltas in active if scale else ():
        for key, place in deltas.places.items():
            module, name = place
            before = module._parameters[name]
            base.exchanged.setdefault(place, deltas.own[key])
            module._parameters[name] = deltas.weight(key, before, scale)


def read_deltas(base: "BaseModel", state: dict[str, Tensor]) -> WeightDeltas | None:
    """The changed weights of a file, taken out of it; None where it has none.

    Raises InputError for an unknown weight, or one of another shape.
    """
    keys = [key.removesuffix(SUFFIX) for key in state if key.endswith(SUFFIX)]
    if not keys:
        return None
    deltas = WeightDeltas(base, keys)
    deltas.fixed = {key: state.pop(key + SUFFIX) for key in keys}
    for key, own in deltas.own.items():
        if own.shape != deltas.fixed[key].shape:
            raise InputError(f"{key} has shape {list(deltas.fixed[key].shape)}")
    return deltas


def named_places(base: "BaseModel") -> Iterator[tuple[str, Place]]:
    """Every weight of the parts that adapters change, under the name that an adapter's file uses.

    LoRA's own, and the words', are none of them; peft's wrappers leave no trace in a name.
    """
    for part in base.lora_parts():
        for path, module in part.module.named_modules():
            if "lora_" in path or path.endswith("tables"):
                continue
            clean = f"{part.prefix}.{path}".replace(".base_layer", "")
            for name, value in module._parameters.items():
                if value is not None:
                    yield f"{clean}.{name}", (module, name)


def chosen_keys(base: "BaseModel", wanted: Callable[[str], bool]) -> list[str]:
    """Names of the weights that are wanted."""
    return [key for key, _ in named_places(base) if wanted(key)]


def _own(base: "BaseModel", place: Place) -> nn.Parameter:
    module, name = place
    return base.exchanged.get(place, module._parameters[name])
