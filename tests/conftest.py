"""Fixtures that several test modules share: a tiny base model, on disk and loaded."""

import os
from pathlib import Path

import pytest

# No test may need the network: a forgotten download fails at once instead of hanging.
os.environ["HF_HUB_OFFLINE"] = "1"

import torch  # noqa: E402

torch.set_num_threads(1)


@pytest.fixture(scope="session")
def tiny_sd(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of a tiny model in SD's layout (epsilon prediction, AutoencoderKL)."""
    from tiny import make_tiny_sd

    return make_tiny_sd(tmp_path_factory.mktemp("bases") / "tiny")


@pytest.fixture(scope="session")
def tiny_settings(tiny_sd: Path):
    """Base settings that point at `tiny_sd`."""
    from smalti.configs.settings import BaseSettings

    return BaseSettings(name="tiny", source=str(tiny_sd), resolution=64)


@pytest.fixture(scope="session")
def tiny_base(tiny_settings):
    """The tiny model, loaded once. Tests that attach adapters detach them, or load their own."""
    from smalti.models.base import load_base

    return load_base(tiny_settings, device="cpu")
