"""Small settings and mosaics that the tests of stage two share."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from smalti.configs.settings import MosaicSettings, Settings, TrainSettings
from smalti.generate import mosaic, studio
from smalti.generate.mosaic import generate_mosaic


@pytest.fixture(scope="session")
def small(tiny_settings) -> Settings:
    """A 2 x 3 mosaic of 64 px tiles in 3 steps."""
    mosaic = MosaicSettings(
        grid="2x3",
        tile_prompt=("a cat on a <color> background", "a dog"),
        ref_prompt="a girl in a red dress",
        steps=3,
        reference_steps=3,
        batch_size=3,
        mixed_precision="no",  # the same on every machine, whether or not it computes in bf16
    )
    return Settings(base=tiny_settings, mosaic=mosaic)


@pytest.fixture(scope="session")
def make(tmp_path_factory):
    """Draw a mosaic of settings with some changed, into a fresh folder or into `out`."""

    def run(settings: Settings, out: Path | None = None, *, concepts=Path("none"), **options):
        retile = options.pop("retile", None)
        changed = replace(settings, mosaic=replace(settings.mosaic, **options))
        out = out or tmp_path_factory.mktemp("mosaic") / "new"
        generate_mosaic(
            changed, out, concepts_dir=concepts, progress=lambda *_: None, retile=retile
        )
        return out

    return run


@pytest.fixture
def killed(monkeypatch):
    """Make the second batch that is drawn from now on stop as Ctrl-C does; the list counts them."""
    real, calls = studio.draw_batch, []

    def draw_batch(*args):
        calls.append(args)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return real(*args)

    def arm() -> list:
        monkeypatch.setattr(mosaic, "draw_batch", draw_batch)
        return calls

    return arm


@pytest.fixture(scope="session")
def finished(small, make) -> Path:
    """The folder of a finished small mosaic; not to be written to."""
    return make(small)


@pytest.fixture(scope="session", params=["epsilon", "v_prediction"])
def any_base(request, tmp_path_factory):
    """A tiny base that predicts eps, and one that predicts v with zero-terminal SNR."""
    from tiny import make_tiny_sd

    from smalti.configs.settings import BaseSettings
    from smalti.models.base import load_base

    folder = make_tiny_sd(
        tmp_path_factory.mktemp("any") / request.param, prediction_type=request.param
    )
    return load_base(BaseSettings(name="tiny", source=str(folder), resolution=64), device="cpu")


@pytest.fixture(scope="session")
def concepts(tiny_settings, tmp_path_factory) -> Path:
    """Two adapters for the tiny base with random LoRA, and an untrained concept."""
    from smalti.models.base import load_base
    from smalti.models.edlora import adapter_state, attach_new, load_adapter_state, save_adapter

    folder = tmp_path_factory.mktemp("concepts")
    base = load_base(tiny_settings, device="cpu")
    for index, name in enumerate(("sylvie", "eileen")):
        adapter = attach_new(base, name, "girl", TrainSettings(seed=index))
        generator = torch.Generator().manual_seed(index)
        state = adapter_state(base, adapter)
        noise = {k: 0.3 * torch.randn(v.shape, generator=generator) for k, v in state.items()}
        load_adapter_state(base, adapter, noise)
        save_adapter(base, adapter, folder / name / "edlora.safetensors", {})
    (folder / "harry").mkdir()
    return folder
