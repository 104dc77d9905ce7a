"""Custom Diffusion: a word, and what cross-attention makes of text, its keys and values.

Source: Kumari et al. 2023, "Multi-Concept Customization of Text-to-Image Diffusion" (arXiv
2212.04488), section 3.1: of the UNet, W_k and W_v of cross-attention alone learn; the word V*
starts rare and stands before the class word; pictures of the class keep it as it was
("regularization dataset", here drawn by the base itself).
"""

from typing import ClassVar

import torch

from ...configs.settings import TrainSettings
from ...models.attention import cross_attention_names
from ...models.base import BaseModel
from ...models.class_words import initial_words
from ...models.deltas import WeightDeltas, chosen_keys
from ...models.edlora import Adapter, attach
from ...models.words import concept_token_names
from .base import fresh_adapter
from .prior import PriorPreserving


class CustomDiffusion(PriorPreserving):
    """A word, keys and values of cross-attention."""

    name: ClassVar[str] = "custom-diffusion"

    def attach(
        self, base: BaseModel, name: str, class_word: str, settings: TrainSettings
    ) -> Adapter:
        """A Gaussian word of usual size before the class word; weights start as the base's own."""
        generator = torch.Generator().manual_seed(settings.seed)
        words = initial_words(base, class_word, 1, generator)[:1]
        trigger = f"{concept_token_names(name, 1)[0]} {class_word}"
        names = {
            f"unet.{layer}.{part}.weight"
            for layer in cross_attention_names(base.unet)
            for part in ("to_k", "to_v")
        }
        adapter = fresh_adapter(base, name, class_word, settings, trigger=trigger, words=words)
        adapter.deltas = WeightDeltas(base, chosen_keys(base, names.__contains__))
        adapter.deltas.learn()
        return attach(base, adapter)
