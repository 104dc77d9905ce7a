"""What tests of training share: a small concept folder, quick settings, runs that are cut off."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from smalti.configs.progress import Report
from smalti.configs.settings import Settings, TrainSettings
from smalti.train import prepare as preparation
from smalti.train.concept import load_concept
from smalti.train.identity import with_class_word
from smalti.train.run import Run

QUICK = TrainSettings(
    mixed_precision="no",  # exact on every machine
    class_word="mug",
    steps=4,
    batch_size=2,
    crops_per_image=2,
    checkpoint_every=2,
    validate_every=None,
    validation_steps=1,
    validation_prompts=("a <concept>",),
    learning_rate_embedding=1e-2,
    learning_rate_text_encoder=1e-3,
    learning_rate_unet=1e-2,
)
IMAGES = 8


class Killed(Exception):
    """Stands for a power cut: nothing may be saved on the way out."""


def make_concept(folder: Path) -> Path:
    """Eight small noisy images, half of them masked, one with its own caption."""
    folder.mkdir(parents=True)
    rng = np.random.default_rng(0)
    for i in range(IMAGES):
        pixels = rng.integers(0, 255, (9, 8, 3), dtype=np.uint8)
        Image.fromarray(pixels).resize((72, 80)).save(folder / f"p{i}.png")
        if i % 2:
            mask = np.zeros((80, 72), np.uint8)
            mask[20:60, 10:60] = 255
            Image.fromarray(mask).save(folder / f"p{i}.mask.png")
    (folder / "p0.txt").write_text("a red <concept> on a table")
    return folder


def marked(
    size: tuple[int, int], box: tuple[int, int, int, int]
) -> tuple[Image.Image, Image.Image]:
    """A grey image with a red rectangle, and the rectangle's mask."""
    image, mask = Image.new("RGB", size, "gray"), Image.new("L", size, 0)
    ImageDraw.Draw(image).rectangle(box, fill="red")
    ImageDraw.Draw(mask).rectangle(box, fill=255)
    return image, mask


def with_train(settings: Settings, **changes: object) -> Settings:
    """The settings with some of training's changed."""
    return replace(settings, train=replace(settings.train, **changes))


def prepared(
    folder: Path, settings: Settings, work: Path, tell: Callable[[str], None] = lambda text: None
) -> Run:
    """A run before its first step."""
    concept = load_concept(folder, settings.train.class_word)
    settings = with_class_word(settings, concept)
    accelerator = preparation.make_accelerator(settings.train)
    return preparation.prepare(concept, settings, accelerator, work, tell=tell)


def told_steps(steps: list[int], total: int = QUICK.steps) -> Report:
    """A report that keeps the steps that were done; images that are encoded are none."""

    def report(done: int, of: int, note: str) -> None:
        if of == total and note:
            steps.append(done)

    return report


def killed_after(step: int, total: int = QUICK.steps) -> Report:
    """A report that cuts the run off after a step."""

    def report(done: int, of: int, note: str) -> None:
        if (done, of) == (step, total) and note:
            raise Killed

    return report
