"""Validation grids: the same prompts and seeds through the run, at adapter scale 0, 0.7 and 1."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from ..configs.settings import TrainSettings
from ..models.denoising import draw_pictures
from ..models.edlora import set_active
from ..models.sheets import contact_sheet, in_rows
from .templates import fill

if TYPE_CHECKING:
    from ..models.base import BaseModel
    from ..models.edlora import Adapter

# At scale 0 only the concept words act: what they hold without LoRA.
SCALES = (0.0, 0.7, 1.0)
CFG_SCALE = 7.5
SCHEDULER = "dpm++"  # of second order: half as many steps as DDIM needs


def validation_prompts(settings: TrainSettings, adapter: "Adapter") -> list[str]:
    """Return the settings' prompts with the concept's words and class word filled in."""
    return [
        fill(prompt, adapter.trigger, settings.class_word) for prompt in settings.validation_prompts
    ]


def grid_labels(settings: TrainSettings, adapter: "Adapter") -> list[str]:
    """Return the prompts as a reader would say them, with the concept's name."""
    return [fill(text, adapter.name, settings.class_word) for text in settings.validation_prompts]


def draw_validation(base: "BaseModel", adapter: "Adapter", settings: TrainSettings) -> torch.Tensor:
    """Return images [scales, prompts, 3, H, W] in [0, 1]; a prompt's seed is its place."""
    prompts = validation_prompts(settings, adapter)
    seeds = [settings.seed + place for place in range(len(prompts))]
    rows = []
    try:
        for scale in SCALES:
            set_active(base, [adapter.name], scale)
            rows.append(
                draw_pictures(
                    base, prompts, [adapter], seeds, settings.validation_steps, CFG_SCALE,
                    scheduler=SCHEDULER,
                )
            )  # fmt: skip
    finally:
        set_active(base, [adapter.name], 1.0)
    return torch.stack(rows)


def save_grid(images: torch.Tensor, labels: Sequence[str], path: Path) -> None:
    """Write images [scales, prompts, 3, H, W] as one labelled PNG, a row per scale."""
    contact_sheet(
        in_rows(images.flatten(0, 1), images.shape[1]),
        path,
        columns=labels,
        names=[f"scale {scale:g}" for scale in SCALES[: len(images)]],
        side=max(images.shape[-2:]),
    )
