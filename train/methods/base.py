"""What a training method is: what it attaches to a base, what learns, and by which losses.

Data, steps, resuming, validation and commands are the same for all. What is saved follows from what
was attached: an `Adapter` holds learned words, LoRA and changed weights, of which each may be
missing, and its file holds what it has.
"""

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, ClassVar

import torch
from torch import Tensor

from ...configs.settings import TrainSettings
from ...models.base import BaseModel
from ...models.edlora import Adapter, parameter_groups
from ...models.words import concept_key

if TYPE_CHECKING:
    from ..batch import Batch
    from ..run import Run


class TrainingMethod(ABC):
    """One way of teaching a base a concept."""

    name: ClassVar[str]
    """What `train.method` calls it."""
    keeps_attention: ClassVar[bool] = False
    """Whether it keeps the attention of layer-wise words on the subject."""
    keeps_class: ClassVar[bool] = False
    """Whether it also learns from pictures of the class, which the base draws itself."""

    @abstractmethod
    def attach(
        self, base: BaseModel, name: str, class_word: str, settings: TrainSettings
    ) -> Adapter:
        """Attach what learns, fresh, fp32 and depending on `settings.seed` only; on alone.

        Raises InputError for an unknown class word or a name that is taken.
        """

    def parameter_groups(
        self, base: BaseModel, adapter: Adapter, settings: TrainSettings
    ) -> list[dict[str, Any]]:
        """Optimiser groups "embedding", "text_encoder" and "unet", those that are not empty."""
        return parameter_groups(base, adapter, settings)

    def losses(self, run: "Run", batch: "Batch", micro: int) -> dict[str, Tensor]:
        """Scalars that join the denoising loss of micro-batch `micro`, which was computed last."""
        return {}


def fresh_adapter(
    base: BaseModel,
    name: str,
    class_word: str,
    settings: TrainSettings,
    *,
    trigger: str,
    words: Tensor | None = None,
    **lora: Any,
) -> Adapter:
    """An adapter that learns, not yet attached; `words` [words, L, D] start its words.

    lora: rank, alpha and the like; without them it has no LoRA.
    """
    table = torch.zeros(0, 1, base.word_width) if words is None else words
    return Adapter(
        name=concept_key(name),
        class_word=class_word,
        trigger=trigger,
        method=settings.method,
        embeddings=torch.nn.Parameter(table.to(base.device)),
        metadata={"training": settings.record()},
        trainable=True,
        **({"rank": 0, "alpha": 0.0} | lora),
    )
