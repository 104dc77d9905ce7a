"""Training methods, one per file behind one interface."""

from ...configs.settings import TrainSettings
from .base import TrainingMethod
from .custom_diffusion import CustomDiffusion
from .dreambooth import DreamBooth
from .edlora import EdLora
from .lora import DreamBoothLora
from .textual_inversion import TextualInversion

METHODS: dict[str, TrainingMethod] = {
    method.name: method
    for method in (EdLora(), DreamBoothLora(), DreamBooth(), TextualInversion(), CustomDiffusion())
}


def method_of(settings: TrainSettings) -> TrainingMethod:
    """The method that settings choose."""
    return METHODS[settings.method]
