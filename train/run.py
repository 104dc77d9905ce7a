"""The state of a training run, which every step reads and changes."""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from torch import Tensor

from ..configs.settings import TrainSettings
from ..models.attention import AttentionRecorder
from ..models.base import BaseModel
from ..models.edlora import Adapter
from .dataset import LatentSet

if TYPE_CHECKING:
    from .methods.base import TrainingMethod
    from .priors import PriorSet


@dataclass
class Run:
    """Everything a training step reads and changes."""

    settings: TrainSettings
    method: "TrainingMethod"
    base: BaseModel
    adapter: Adapter
    data: LatentSet
    accelerator: Any
    optimizer: Any
    recorder: AttentionRecorder | None
    """Attention maps of the step; None when the regulariser is off."""
    norm_limits: Tensor
    """Largest mean norm [words] of each concept word."""
    prior: "PriorSet | None" = None
    """Pictures of the class; None where the method has no use for them."""
    step: int = 0
    frozen_words: list[bool] = field(default_factory=list)
    identity: dict[str, Any] = field(default_factory=dict)
    """What must stay the same when the run goes on (see `identity.identity_of`)."""
    word_places: dict[str, Tensor] = field(default_factory=dict)
    """Places of the concept words in prompts met so far."""

    @property
    def is_main(self) -> bool:
        """Whether this process writes the files and talks to the user."""
        return self.accelerator.is_main_process

    @property
    def samples_per_step(self) -> int:
        """Samples of one optimiser step over micro-batches and processes."""
        return (
            self.settings.batch_size
            * self.settings.gradient_accumulation
            * self.accelerator.num_processes
        )
