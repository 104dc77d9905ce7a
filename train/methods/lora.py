"""DreamBooth with LoRA: a rare word and the class word, LoRA, and pictures of the class.

Source: Ruiz et al. 2023, "DreamBooth" (arXiv 2208.12242), sections 3.2 (an identifier that is not
learned) and 3.3 (prior preservation), with what learns replaced by LoRA (Hu et al. 2022, arXiv
2106.09685), as diffusers' train_dreambooth_lora.py does. Variants of LoRA: DoRA (Liu et al. 2024,
arXiv 2402.09353), rsLoRA (Kalajdzievski 2023, arXiv 2312.03732), PiSSA (Meng et al. 2024, arXiv
2404.02948).
"""

from typing import ClassVar

import torch

from ...configs.settings import TrainSettings
from ...models.base import BaseModel
from ...models.class_words import check_class_word
from ...models.edlora import Adapter, begin
from ...models.lora_layers import lora_facts
from .base import fresh_adapter
from .prior import PriorPreserving


class DreamBoothLora(PriorPreserving):
    """LoRA for a plain word."""

    name: ClassVar[str] = "lora"

    def attach(
        self, base: BaseModel, name: str, class_word: str, settings: TrainSettings
    ) -> Adapter:
        """LoRA that starts as zero, or as its variant does; no words are learned."""
        check_class_word(base, class_word)
        generator = torch.Generator().manual_seed(settings.seed)
        trigger = f"{settings.identifier} {class_word}"
        lora = lora_facts(settings)
        adapter = fresh_adapter(base, name, class_word, settings, trigger=trigger, **lora)
        return begin(base, adapter, settings, generator)
