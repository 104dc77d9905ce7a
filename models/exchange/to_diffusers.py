"""The LoRA format of diffusers and peft: `unet.PATH.lora_A.weight` and `lora_B.weight`."""

from torch import Tensor

from .own import OwnAdapter
from .to_kohya import without_words


def diffusers_tensors(own: OwnAdapter) -> tuple[dict[str, Tensor], tuple[str, ...]]:
    """Two tensors for each layer, and what is lost; rank and alpha stand in the header."""
    tensors = {}
    for key, layer in own.layers.items():
        part, path = own.place(key)
        tensors[f"{part.own}.{path}.lora_A.weight"] = layer.down
        tensors[f"{part.own}.{path}.lora_B.weight"] = layer.up
    return tensors, without_words(own)
