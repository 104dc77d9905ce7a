"""DreamBooth: all weights of the UNet learn a rare word, beside pictures of the class.

Source: Ruiz et al. 2023, "DreamBooth" (arXiv 2208.12242), sections 3.2 and 3.3; the text encoder
may learn too, as in diffusers' train_dreambooth.py. The file holds what was added to each weight.
"""

from typing import ClassVar

from ...configs.settings import TrainSettings
from ...models.base import BaseModel
from ...models.class_words import check_class_word
from ...models.deltas import WeightDeltas, chosen_keys
from ...models.edlora import Adapter, attach
from .base import fresh_adapter
from .prior import PriorPreserving


class DreamBooth(PriorPreserving):
    """All weights of the UNet, and on request those of the text encoder."""

    name: ClassVar[str] = "dreambooth"

    def attach(
        self, base: BaseModel, name: str, class_word: str, settings: TrainSettings
    ) -> Adapter:
        """Weights that start as the base's own; the table of known words never learns."""
        check_class_word(base, class_word)

        def learns(key: str) -> bool:
            wanted = key.startswith("unet.") or settings.train_text_encoder
            return wanted and "token_embedding" not in key

        trigger = f"{settings.identifier} {class_word}"
        adapter = fresh_adapter(base, name, class_word, settings, trigger=trigger)
        adapter.deltas = WeightDeltas(base, chosen_keys(base, learns))
        adapter.deltas.learn()
        return attach(base, adapter)
