"""Methods that also learn from pictures of the class, so that it stays what it was.

Prior preservation, Ruiz et al. 2023, section 3.3: the same loss on pictures that the base drew of
the class before training, times `train.prior_weight`, joins that of the concept (their Eq. 2).
"""

from typing import TYPE_CHECKING, ClassVar

from torch import Tensor

from ..priors import prior_batch
from ..step import denoising_loss
from .base import TrainingMethod

if TYPE_CHECKING:
    from ..batch import Batch
    from ..run import Run


class PriorPreserving(TrainingMethod):
    """A method with prior preservation."""

    keeps_class: ClassVar[bool] = True

    def losses(self, run: "Run", batch: "Batch", micro: int) -> dict[str, Tensor]:
        """The weighted loss on as many pictures of the class, where it has a weight."""
        if run.prior is None:
            return {}
        return {"prior": run.settings.prior_weight * denoising_loss(run, prior_batch(run, micro))}
