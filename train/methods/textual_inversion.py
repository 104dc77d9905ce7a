"""Textual inversion: only words learn, one vector for all layers or one for each.

Source: Gal et al. 2022, "An Image is Worth One Word" (arXiv 2208.01618), section 3; with a vector
per cross-attention layer it is XTI (Voynov et al. 2023, "P+", arXiv 2303.09522, section 4).
"""

from typing import ClassVar

from ...configs.settings import TrainSettings
from ...models.base import BaseModel
from ...models.class_words import class_embedding
from ...models.edlora import Adapter, attach
from ...models.words import concept_token_names
from .base import TrainingMethod, fresh_adapter


class TextualInversion(TrainingMethod):
    """Words alone."""

    name: ClassVar[str] = "textual-inversion"

    def attach(
        self, base: BaseModel, name: str, class_word: str, settings: TrainSettings
    ) -> Adapter:
        """Words that start as copies of the class word."""
        layers = base.layers if settings.layerwise else 1
        start = class_embedding(base, class_word)
        words = start.repeat(settings.num_vectors, layers, 1)
        trigger = " ".join(concept_token_names(name, settings.num_vectors))
        adapter = fresh_adapter(base, name, class_word, settings, trigger=trigger, words=words)
        return attach(base, adapter)
