"""Validation grids: the same prompts and seeds through the run, at adapter scale 0, 0.7 and 1."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from PIL import Image, ImageDraw, ImageFont

from ..configs.files import replacing
from ..configs.settings import TrainSettings
from ..models.edlora import set_active
from ..models.pixels import to_pixels
from .templates import fill

if TYPE_CHECKING:
    from ..models.base import BaseModel
    from ..models.edlora import Adapter

# At scale 0 only the concept words act: what they hold without LoRA.
SCALES = (0.0, 0.7, 1.0)
CFG_SCALE = 7.5
SCHEDULER = "dpm++"  # of second order: half as many steps as DDIM needs
MARGIN = 4
LABEL_HEIGHT = 18


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
    from ..generate.sampler import draw

    prompts = validation_prompts(settings, adapter)
    seeds = [settings.seed + place for place in range(len(prompts))]
    steps = settings.validation_steps
    rows = []
    try:
        with torch.no_grad():
            for scale in SCALES:
                set_active(base, [adapter.name], scale)
                rows.append(
                    draw(base, prompts, [adapter], seeds, steps, CFG_SCALE, scheduler=SCHEDULER)
                )
    finally:
        set_active(base, [adapter.name], 1.0)
    return torch.stack(rows)


def save_grid(images: torch.Tensor, labels: Sequence[str], path: Path) -> None:
    """Write images [scales, prompts, 3, H, W] as one labelled PNG, a row per scale."""
    rows, columns, _, height, width = images.shape
    left = 64
    size = (left + columns * (width + MARGIN), LABEL_HEIGHT + rows * (height + MARGIN))
    sheet = Image.new("RGB", size, "white")
    pen, font = ImageDraw.Draw(sheet), ImageFont.load_default(11)
    for column, label in enumerate(labels):
        pen.text(
            (left + column * (width + MARGIN), 2),
            _shorten(pen, label, width, font),
            fill="black",
            font=font,
        )
    for row, scale in enumerate(SCALES[:rows]):
        top = LABEL_HEIGHT + row * (height + MARGIN)
        pen.text((4, top + height // 2), f"scale {scale:g}", fill="black", font=font)
        for column in range(columns):
            picture = Image.fromarray(to_pixels(images[row, column]))
            sheet.paste(picture, (left + column * (width + MARGIN), top))
    with replacing(path) as temporary:
        sheet.save(temporary, format="PNG")


def _shorten(
    pen: ImageDraw.ImageDraw,
    text: str,
    width: int,
    font: ImageFont.ImageFont | ImageFont.FreeTypeFont,
) -> str:
    """Cut a label so that it does not run into its neighbour's."""
    while text and pen.textlength(text, font=font) > width:
        text = text[:-2].rstrip() + "…" if len(text) > 2 else ""
    return text
