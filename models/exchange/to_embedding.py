"""The embedding format of the user interfaces: one tensor of one vector per word."""

from torch import Tensor

from .own import OwnAdapter

KEY = "emb_params"


def embedding_tensors(own: OwnAdapter) -> tuple[dict[str, Tensor], tuple[str, ...]]:
    """`emb_params` [words, D], and what is lost; a second tensor would keep diffusers out.

    Layer-wise words become their mean over the layers.
    """
    lost = []
    if own.layers:
        lost = ["An embedding holds words only: write the LoRA with --to kohya or --to diffusers."]
    if own.layerwise:
        lost.insert(0, f"One vector per word stands for the {own.words.shape[1]} of its layers.")
    return {KEY: own.words.mean(dim=1)}, tuple(lost)
