"""sd-scripts' format of layer-wise words (XTI, after P+: Voynov et al. 2023)."""

from torch import Tensor

from ...configs.errors import InputError
from .own import OwnAdapter

XTI_LAYERS = (
    "IN01", "IN02", "IN04", "IN05", "IN07", "IN08", "MID", "OUT03", "OUT04", "OUT05", "OUT06",
    "OUT07", "OUT08", "OUT09", "OUT10", "OUT11",
)  # fmt: skip
"""The 16 cross-attention layers of Stable Diffusion 1.x and 2.x: down, mid, up, as smalti's."""


def xti_tensors(own: OwnAdapter) -> tuple[dict[str, Tensor], tuple[str, ...]]:
    """A tensor [words, D] for each layer, and what is lost.

    Words with one vector for all layers repeat it. Raises InputError for a base that has not
    16 cross-attention layers.
    """
    layers = own.words.shape[1]
    if own.layerwise and layers != len(XTI_LAYERS):
        raise InputError(
            f"{own.name} has words of {layers} layers; --to xti holds {len(XTI_LAYERS)}, those of "
            "Stable Diffusion 1.x and 2.x. Take --to embedding."
        )
    words = own.words.expand(-1, len(XTI_LAYERS), -1)
    tensors = {name: words[:, index] for index, name in enumerate(XTI_LAYERS)}
    lost = ("XTI files hold words only: write the LoRA with --to kohya.",) if own.layers else ()
    return tensors, lost
