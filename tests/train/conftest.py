"""Fixtures of training's tests: a concept folder, and settings for the tiny base."""

from pathlib import Path

import pytest
from training import QUICK, make_concept

from smalti.configs.settings import Settings


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A small concept folder."""
    return make_concept(tmp_path / "mug")


@pytest.fixture
def settings(tiny_settings) -> Settings:
    """Quick training on the tiny base."""
    return Settings(base=tiny_settings, train=QUICK)
