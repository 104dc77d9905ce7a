"""kohya's LoRA format, which every user interface reads: three tensors for each layer."""

import torch
from torch import Tensor

from .names import kohya_name
from .own import OwnAdapter


def kohya_tensors(own: OwnAdapter) -> tuple[dict[str, Tensor], tuple[str, ...]]:
    """`NAME.lora_down.weight`, `.lora_up.weight` and `.alpha` of each layer, and what is lost.

    alpha is always written: without one, loaders differ in what they take it for.
    """
    tensors: dict[str, Tensor] = {}
    left_out = []
    for key, layer in own.layers.items():
        part, path = own.place(key)
        if path in part.not_in_kohya:
            left_out.append(path)
            continue
        stem = kohya_name(part, path)
        tensors[f"{stem}.lora_down.weight"] = layer.down
        tensors[f"{stem}.lora_up.weight"] = layer.up
        tensors[f"{stem}.alpha"] = torch.tensor(float(layer.alpha))
    return tensors, (*_without_layers(left_out, len(own.layers)), *without_words(own))


def _without_layers(left_out: list[str], layers: int) -> tuple[str, ...]:
    if not left_out:
        return ()
    return (
        f"kohya's format has no place for {', '.join(left_out)}: {len(left_out)} of {layers} layers"
        " are left out, and pictures will differ. --to diffusers holds them all.",
    )


def without_words(own: OwnAdapter) -> tuple[str, ...]:
    """What is said of a LoRA file, in which the concept's words have no place."""
    if not len(own.words):
        return ()
    how = "--to embedding (one vector each) or --to xti" if own.layerwise else "--to embedding"
    return (f"A LoRA file holds no words: write those of {own.name} with {how}.",)
