"""Adapters of a tiny base of SD's own 16 layers on disk, trained once."""

from pathlib import Path

import pytest
from exchanging import write_trained
from tiny import make_tiny_sd

from smalti.configs.base import BaseSettings
from smalti.models.exchange.export import export
from smalti.models.exchange.metadata import BaseFacts
from smalti.models.exchange.own import read_own


@pytest.fixture(scope="session")
def tiny_sd(tmp_path_factory) -> Path:
    """In place of the other tests' smaller one: files of others have the names of all 16 layers."""
    return make_tiny_sd(tmp_path_factory.mktemp("bases") / "sd", layers_per_block=2)


@pytest.fixture(scope="session")
def tiny_settings(tiny_sd) -> BaseSettings:
    return BaseSettings(name="tiny", source=str(tiny_sd), resolution=64)


@pytest.fixture(scope="session")
def own_base(tiny_settings):
    """A base of these tests' own: peft leaves its wrappers on every layer that it was given."""
    from smalti.models.bases import load_base

    return load_base(tiny_settings, device="cpu")


@pytest.fixture
def base(own_base):
    """That base; whatever a test attached to it is removed afterwards."""
    from smalti.models.edlora import detach

    yield own_base
    for adapter in list(own_base.adapters.values()):
        detach(own_base, adapter)


@pytest.fixture(scope="session")
def files(own_base, tmp_path_factory) -> dict[str, Path]:
    """By name: layer-wise words on attention, and plain words on every layer."""
    folder = tmp_path_factory.mktemp("exchange")
    paths = {name: folder / f"{name}.safetensors" for name in ("edlora", "lora")}
    write_trained(own_base, paths["edlora"], lora_alpha=8, rank=4)
    write_trained(own_base, paths["lora"], lora_alpha=6, rank=3, method="lora", targets="all")
    return paths


FACTS = BaseFacts("sd15", "stable-diffusion-v1-5/stable-diffusion-v1-5", 512, 768, False)


@pytest.fixture
def exported(files, tmp_path):
    """Export one of the files, and return where it lies and what was lost."""

    def write(name: str, to: str, facts: BaseFacts = FACTS):
        path = tmp_path / f"{name}-{to}.safetensors"
        return path, export(read_own(files[name]), to, facts, path)

    return write
