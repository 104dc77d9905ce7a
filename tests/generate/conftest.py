"""Small settings and mosaics that the tests of stage two share."""

from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path
from unittest.mock import create_autospec

import numpy as np
import pytest
import torch
from PIL import Image

from smalti.configs.machine import MachineSettings
from smalti.configs.mosaic import changed, mosaic_settings
from smalti.configs.settings import BaseSettings, Settings, TrainSettings
from smalti.generate import draw
from smalti.generate.engine import Engine, open_engine
from smalti.generate.mosaic import generate_mosaic


@pytest.fixture(scope="session")
def small(tiny_settings) -> Settings:
    """A 2 x 3 mosaic of 64 px tiles in 3 steps."""
    mosaic = mosaic_settings(
        grid="2x3",
        tile_prompt=("a cat on a <color> background", "a dog"),
        ref_prompt="a girl in a red dress",
        steps=3,
        reference_steps=3,
        batch_size=3,
        guidance_strength=0.3,  # given, so that nothing is drawn twice
        mixed_precision="no",  # the same on every machine, whether or not it computes in bf16
    )
    return Settings(base=tiny_settings, mosaic=mosaic)


@pytest.fixture(scope="session")
def engine_of() -> Callable[[BaseSettings], Engine]:
    """The one engine of a base in full precision, for mosaics that need none of their own."""
    return cache(lambda base: open_engine(base, MachineSettings(), precision="no"))


@pytest.fixture(scope="session")
def engine(small, engine_of) -> Engine:
    """The tiny model's engine."""
    return engine_of(small.base)


@pytest.fixture(scope="session")
def make(tmp_path_factory, engine_of) -> Callable[..., Path]:
    """Draw a mosaic of settings with some changed, into a fresh folder or into `out`."""

    def run(
        settings: Settings,
        out: Path | None = None,
        *,
        concepts: Path = Path("none"),
        retile: list[tuple[int, int]] | None = None,
        **options,
    ) -> Path:
        asked = replace(settings, mosaic=changed(settings.mosaic, **options))
        out = out or tmp_path_factory.mktemp("mosaic") / "new"
        generate_mosaic(
            asked, out, concepts_dir=concepts, progress=lambda *_: None, retile=retile,
            engine=engine_of(asked.base),
        )  # fmt: skip
        return out

    return run


@pytest.fixture
def killed(monkeypatch):
    """Make the second batch that is drawn from now on stop as Ctrl-C does; counts the batches."""
    real = draw.draw_batch

    def arm():
        spy = create_autospec(real)

        def stop(*args):
            if spy.call_count == 2:
                raise KeyboardInterrupt
            return real(*args)

        spy.side_effect = stop
        monkeypatch.setattr(draw, "draw_batch", spy)
        return spy

    return arm


@pytest.fixture(scope="session")
def finished(small, make) -> Path:
    """The folder of a finished small mosaic; not to be written to."""
    return make(small)


@pytest.fixture(scope="session")
def photo(tmp_path_factory) -> Path:
    """A reference photo with large shapes in several colours."""
    across, down = np.meshgrid(np.linspace(0, 255, 96), np.linspace(0, 255, 96))
    pixels = np.stack([across, down, np.full_like(across, 90)], -1)
    path = tmp_path_factory.mktemp("photo") / "photo.png"
    Image.fromarray(pixels.astype(np.uint8)).save(path)
    return path


@pytest.fixture(scope="session")
def pool(tmp_path_factory) -> Path:
    """A folder of 20 pictures of different sizes and colours, and things that are none."""
    folder, random = tmp_path_factory.mktemp("pool"), np.random.default_rng(0)
    for number in range(20):
        coarse = random.integers(0, 256, (2, 3, 3), np.uint8)
        picture = Image.fromarray(coarse).resize((60 + number, 50), Image.Resampling.BICUBIC)
        picture.save(folder / f"{number:02d}.png")
    (folder / "notes.txt").write_text("no picture")
    (folder / "._00.png").write_text("what another system leaves beside 00.png")
    (folder / "album.jpg").mkdir()
    return folder


def save_concept(base, folder: Path, name: str, seed: int) -> Path:
    """An adapter of random LoRA and words, as a concept's training leaves it in its folder."""
    from smalti.models.edlora import (
        adapter_state,
        attach_new,
        detach,
        load_adapter_state,
        save_adapter,
    )

    adapter = attach_new(base, name, "girl", TrainSettings(seed=seed))
    generator = torch.Generator().manual_seed(seed)
    state = adapter_state(base, adapter)
    noise = {k: 0.3 * torch.randn(v.shape, generator=generator) for k, v in state.items()}
    load_adapter_state(base, adapter, noise)
    path = folder / "edlora.safetensors"
    save_adapter(base, adapter, path, {})
    detach(base, adapter)
    return path


@pytest.fixture(scope="session")
def saved_concept() -> Callable[..., Path]:
    """`save_concept`, for tests of a base of their own."""
    return save_concept


@pytest.fixture(scope="session")
def concepts(tiny_settings, tmp_path_factory) -> Path:
    """Three adapters for the tiny base, two of them called sylvie, and an untrained concept."""
    from smalti.models.bases import load_base

    folder = tmp_path_factory.mktemp("concepts")
    base = load_base(tiny_settings, device="cpu")
    for seed, (place, name) in enumerate(
        (("sylvie", "sylvie"), ("eileen", "eileen"), ("girls/sylvie", "sylvie"))
    ):
        save_concept(base, folder / place, name, seed)
    (folder / "harry").mkdir()
    return folder
