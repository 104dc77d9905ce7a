"""The embedding format of the user interfaces: one tensor of one vector per word."""

from torch import Tensor

from .own import OwnAdapter

KEY = "emb_params"
TWO_KEYS = ("clip_l", "clip_g")
"""What they are called for SDXL's family."""


def embedding_tensors(own: OwnAdapter) -> tuple[dict[str, Tensor], tuple[str, ...]]:
    """`emb_params` [words, D], and what is lost; a second tensor would keep diffusers out.

    Layer-wise words become their mean over the layers. Of two text encoders each has a tensor.
    """
    lost = []
    if own.layers:
        lost = ["An embedding holds words only: write the LoRA with --to kohya or --to diffusers."]
    if own.layerwise:
        lost.insert(0, f"One vector per word stands for the {own.words.shape[1]} of its layers.")
    words, widths = own.words.mean(dim=1), own.metadata["base"].get("widths")
    if widths:
        return dict(zip(TWO_KEYS, words.split(widths, dim=1), strict=True)), tuple(lost)
    return {KEY: words}, tuple(lost)
