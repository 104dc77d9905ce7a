"""Facts of a base model that cannot be read off its files."""

import pytest
from refusals import refused

from smalti.configs.base import BaseSettings


@pytest.mark.parametrize("resolution", [8, 128, 768, 4096])
def test_a_resolution_is_a_multiple_of_what_an_autoencoder_halves_to(resolution):
    assert BaseSettings(resolution=resolution).resolution == resolution


@pytest.mark.parametrize("resolution", [0, 100, 4104])
def test_any_other_is_refused(resolution):
    with refused("base.resolution", str(resolution)):
        BaseSettings(resolution=resolution)
