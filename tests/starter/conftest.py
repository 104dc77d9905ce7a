"""A synthetic corpus of 20 pictures and settings small enough to run the recipe in a test."""

import io
import shutil
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image, ImageDraw

from smalti.starter import t2i_adapter, training_loop, unet
from smalti.starter.recipe_settings import (
    ClipSettings,
    ColorSettings,
    CorpusSettings,
    RecipeSettings,
    UnetSettings,
    VaeSettings,
)
from smalti.starter.stages import run_stage
from smalti.starter.unet import draw

SIDE = 64
NOUNS = ("cat", "dog", "car", "bird", "flower", "fish", "chair", "robot", "hamburger", "owl")


def cut_out(number: int) -> Image.Image:
    """An ellipse or a box on nothing."""
    picture = Image.new("RGBA", (SIDE, SIDE), (0, 0, 0, 0))
    draw = ImageDraw.Draw(picture)
    color = (37 * number % 256, 91 * number % 256, 203 * number % 256, 255 - 9 * number)
    shape = draw.ellipse if number % 2 else draw.rectangle
    shape((6 + number, 10, 58 - number, 54), fill=color)
    return picture


def scene(number: int) -> Image.Image:
    """Sky and ground, no transparency."""
    picture = Image.new("RGBA", (SIDE, SIDE), (120, 160, 250 - 10 * number, 255))
    ImageDraw.Draw(picture).rectangle((0, 40 - number, SIDE, SIDE), fill=(40, 140, 50, 255))
    return picture


def row(number: int) -> dict:
    """One row of the corpus' table; the last five are scenes."""
    is_scene = number >= 15
    picture = scene(number) if is_scene else cut_out(number)
    encoded = io.BytesIO()
    picture.save(encoded, format="PNG")
    noun = "mountain" if is_scene else NOUNS[number % len(NOUNS)]
    return {
        "image": {"bytes": encoded.getvalue(), "path": None}, "caption": noun,
        "alt": f"green {noun}|{noun} with a hat", "tags": "background" if is_scene else "thing",
        "style": "photo" if is_scene else "clipart", "source": "test", "group": "test",
        "kind": "icon" if number % 3 else "clipart", "coverage": 1.0 if is_scene else 0.5,
    }


@pytest.fixture(scope="session")
def parquet(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """20 captioned RGBA pictures of 64 px, as the corpus' table stores them."""
    path = tmp_path_factory.mktemp("corpus") / "corpus.parquet"
    pq.write_table(pa.Table.from_pylist([row(i) for i in range(20)]), path)
    return path


@pytest.fixture(scope="session")
def recipe(parquet: Path, lpips_weights: Path) -> RecipeSettings:
    """The whole recipe in the smallest shape that still has every part, four steps a stage.

    The UNet is wide enough that a single latent, whose lowest level is one cell here, can be
    normalised.
    """
    loop = {"steps": 4, "batch_size": 2, "warmup": 2, "checkpoint_every": 2, "sample_every": 4,
            "bf16": False}
    return RecipeSettings(
        corpus=CorpusSettings(parquet=str(parquet), resolution=SIDE, held_out=2, vocabulary=560,
                              compositions=60),
        vae=VaeSettings(channels=(8, 8, 8, 8), crop=SIDE, lpips=str(lpips_weights), **loop),
        clip=ClipSettings(width=16, text_layers=1, image_layers=1, heads=2, patch=16, **loop),
        unet=UnetSettings(channels=(32, 32, 32, 32), heads=(1, 1, 1, 1), **loop),
        color=ColorSettings(**loop),
    )


@pytest.fixture(scope="session", autouse=True)
def quick_samples() -> Iterator[None]:
    """Sample sheets of few pictures and steps, so that they take no time."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(unet, "SAMPLE_PROMPTS", ("a cat",))
        patch.setattr(t2i_adapter, "SHOWN", 1)
        patch.setattr(unet, "draw", lambda *given, each, steps: draw(*given, each, steps=2))
        yield


@pytest.fixture(scope="session")
def finished(recipe: RecipeSettings, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with an unbroken run in `work/` and its model in `out/`; work on copies of it."""
    folder = tmp_path_factory.mktemp("recipe")
    for stage in ("prepare", "vae", "clip", "unet", "color"):
        run_stage(stage, recipe, folder / "work", folder / "out")
    return folder


@pytest.fixture
def copied(finished: Path, tmp_path: Path) -> Path:
    """A copy of `finished`, to be changed."""
    return shutil.copytree(finished, tmp_path / "copied")


@pytest.fixture
def stopped_before() -> Callable[[int], AbstractContextManager]:
    """Runs a stage until someone presses Ctrl+C as a step begins."""

    @contextmanager
    def stopped(step: int) -> Iterator[None]:
        descend = training_loop._optimizer_step

        def stopping(model, optimizer, loss, settings, present, used):
            if present == step:
                raise KeyboardInterrupt
            return descend(model, optimizer, loss, settings, present, used)

        with pytest.MonkeyPatch.context() as patch, pytest.raises(KeyboardInterrupt):
            patch.setattr(training_loop, "_optimizer_step", stopping)
            yield

    return stopped
