"""ED-LoRA: two layer-wise words, and LoRA on every attention linear.

Source: Gu et al. 2023, "Mix-of-Show" (arXiv 2305.18292), section 3.1, and its released code.
"""

from typing import TYPE_CHECKING, ClassVar

from torch import Tensor

from ...configs.settings import TrainSettings
from ...models.base import BaseModel
from ...models.edlora import Adapter, attach_new
from ..word_attention import regulariser
from .base import TrainingMethod

if TYPE_CHECKING:
    from ..batch import Batch
    from ..run import Run


class EdLora(TrainingMethod):
    """Words with one vector per cross-attention layer, LoRA, and the attention regulariser."""

    name: ClassVar[str] = "edlora"
    keeps_attention: ClassVar[bool] = True

    def attach(
        self, base: BaseModel, name: str, class_word: str, settings: TrainSettings
    ) -> Adapter:
        """Two words, one Gaussian and one a copy of the class word, and LoRA."""
        return attach_new(base, name, class_word, settings)

    def losses(self, run: "Run", batch: "Batch", micro: int) -> dict[str, Tensor]:
        """The attention regulariser, where it is on."""
        if run.recorder is None:
            return {}
        loss = regulariser(run, run.recorder, batch.prompts, batch.subject, batch.has_mask)
        return {"attention": run.settings.attention_weight * loss}
