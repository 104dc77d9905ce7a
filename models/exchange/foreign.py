"""A LoRA that others trained, attached to a base as smalti's own adapters are."""

import re
import warnings
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from ...configs.errors import InputError
from ..edlora import Adapter, load_adapter, set_active
from ..words import concept_key
from .header import is_own, made_for, texts_of
from .lora import LoraLayer, read_lora
from .names import FAMILIES, kohya_name
from .refused import family_by_names

if TYPE_CHECKING:
    from ..base import BaseModel, LoraPart

METHOD = "file"
"""What the method of an adapter is called that smalti did not train."""
TEXT_WIDTHS = {768: "Stable Diffusion 1.x", 1024: "Stable Diffusion 2.x", 2048: "SDXL"}

Layers = dict[str, tuple[str, LoraLayer]]
"""Layers of one part by path, each with its name in the file."""


def attach_file(base: "BaseModel", path: Path, name: str) -> Adapter:
    """Attach an adapter of smalti's or of another trainer, frozen, and switch it on alone.

    name: what it is called here. Raises InputError when the file cannot serve or was made for
    another base.
    """
    if is_own(path):
        return load_adapter(base, path, name)
    found = layers_by_part(base, path, read_lora(path))
    ranks = [layer.rank for layers in found.values() for _, layer in layers.values()]
    adapter = Adapter(
        name=concept_key(name),
        class_word="",
        trigger="",
        rank=max(ranks),
        alpha=float(max(ranks)),
        method=METHOD,
        embeddings=nn.Parameter(torch.zeros(0, 1, base.word_width)),
        metadata={"name": path.stem},
        path=path,
    )
    for part in base.lora_parts():
        if layers := found.get(part.name):
            _inject(part, adapter, {key: layer for key, (_, layer) in layers.items()})
    base.adapters[adapter.name] = adapter
    set_active(base, [adapter.name])
    return adapter


def layers_by_part(
    base: "BaseModel", path: Path, lora: Mapping[str, LoraLayer]
) -> dict[str, Layers]:
    """The layers of a file by the base's part and path; raises InputError where one has none."""
    places = dict(_places(base))
    found: dict[str, Layers] = {}
    for name, layer in lora.items():
        if name not in places:
            raise _other_base(base, path, lora, f"{name} is no layer of it")
        part, key, weight = places[name]
        if not _fits(layer, weight):
            shapes = f"{list(layer.up.shape)} x {list(layer.down.shape)}"
            raise _other_base(base, path, lora, f"{name} is {shapes}, its {list(weight.shape)}")
        found.setdefault(part, {})[key] = (name, layer)
    return found


def _places(base: "BaseModel") -> Iterator[tuple[str, tuple[str, str, torch.Tensor]]]:
    """Every name that a layer can have in files: its part's name, its path and its weight.

    Trainers that build on diffusers write its paths in kohya's manner on every base.
    """
    tables = {names.own: names for names in FAMILIES[base.family]}
    for part in base.lora_parts():
        for key, weight in _weights(part.module):
            place = (part.name, key, weight)
            yield f"{part.prefix}.{key}", place
            yield kohya_name(names := tables[part.prefix], key), place
            yield kohya_name(replace(names, renamed=str), key), place


def _weights(module: nn.Module) -> Iterator[tuple[str, torch.Tensor]]:
    """Linear layers and convolutions of a network, adapters that are attached left aside."""
    for key, layer in module.named_modules():
        if ".lora_" in key or key.endswith(".base_layer"):
            continue
        own = layer.get_base_layer() if hasattr(layer, "get_base_layer") else layer
        if isinstance(own, nn.Linear | nn.Conv2d):
            yield key, own.weight


def _fits(layer: LoraLayer, weight: torch.Tensor) -> bool:
    """Whether two matrices make a change of a weight; 1 x 1 convolutions count as linear."""
    inside, outside = layer.down[0].numel(), layer.up.shape[0]
    rows = layer.up.numel() == outside * layer.rank
    return rows and outside == weight.shape[0] and inside == weight[0].numel()


def _other_base(
    base: "BaseModel", path: Path, lora: Mapping[str, LoraLayer], why: str
) -> InputError:
    told = made_for(texts_of(path)) or family_by_names(lora) or _by_width(lora)
    made = f"was made for {told}" if told else "was made for another base"
    return InputError(
        f"{path} {made}, not for base {base.settings.name!r} ({why}). Take the --base that it was "
        "made for (mosaic bases lists some)."
    )


def _by_width(lora: Mapping[str, LoraLayer]) -> str:
    """The family that the width of the text gives away, which keys and values are made of."""
    keys = (layer for name, layer in lora.items() if re.search(r"attn2[._]to_[kv]$", name))
    first = next(keys, None)
    return TEXT_WIDTHS.get(first.down.shape[1], "") if first else ""


def _inject(part: "LoraPart", adapter: Adapter, layers: Mapping[str, LoraLayer]) -> None:
    """Give exactly these layers of a part their LoRA."""
    from peft import LoraConfig

    config = LoraConfig(**_peft_config(layers))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # peft warns of a second adapter
        part.module.add_adapter(config, adapter_name=adapter.peft_name)
    modules = dict(part.module.named_modules())
    for key, layer in layers.items():
        for matrices, value in (("lora_A", layer.down), ("lora_B", layer.up)):
            weight = getattr(modules[key], matrices)[adapter.peft_name].weight
            # Copied: peft follows the base's precision, and the file's own memory is not aligned.
            weight.data = weight.data.float().copy_(value.reshape(weight.shape))
            weight.requires_grad_(False)


def _peft_config(layers: Mapping[str, LoraLayer]) -> dict[str, Any]:
    """Rank and alpha of every layer, by whole paths: the end of one could mean several.

    Layers that are alike share one pattern; peft looks through all patterns for every layer.
    """
    ranks, alphas = {}, {}
    for values, read in ((ranks, lambda v: v.rank), (alphas, lambda v: v.alpha)):
        for value in {read(layer) for layer in layers.values()}:
            values[_exactly(key for key, layer in layers.items() if read(layer) == value)] = value
    target = _exactly(layers)
    return {"target_modules": target, "rank_pattern": ranks, "alpha_pattern": alphas}


def _exactly(keys: Iterable[str]) -> str:
    """A pattern of these paths and of none that ends like one."""
    return f"^(?:{'|'.join(map(re.escape, keys))})"
