"""Training methods: what learns, by which loss, and that two cuts leave no trace."""

import shutil
from pathlib import Path

import pytest
import torch
from training import QUICK, Killed, killed_after, make_concept, with_train

from smalti.configs.progress import silent
from smalti.configs.settings import Settings
from smalti.configs.train import TRAIN_METHODS
from smalti.train import loop, priors
from smalti.train.methods import METHODS
from smalti.train.trainer import train_concept

pytestmark = pytest.mark.slow  # each test trains the tiny model

WAYS = {
    "edlora-dora": {"method": "edlora", "lora_variant": "dora"},
    "edlora-pissa": {"method": "edlora", "lora_variant": "pissa", "targets": "all"},
    "lora": {"method": "lora"},
    "dreambooth": {"method": "dreambooth", "train_text_encoder": True},
    "textual-inversion": {"method": "textual-inversion", "num_vectors": 2},
    "xti": {"method": "textual-inversion", "layerwise": True},
    "custom-diffusion": {"method": "custom-diffusion"},
}


@pytest.fixture(scope="module")
def concept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A concept folder that tests copy."""
    return make_concept(tmp_path_factory.mktemp("methods") / "mug")


@pytest.fixture(scope="module")
def quick(tiny_settings) -> Settings:
    """Three steps of one sample, two pictures of the class."""
    settings = Settings(base=tiny_settings, train=QUICK)
    return with_train(settings, steps=3, batch_size=1, checkpoint_every=1, class_pictures=2)


@pytest.fixture(autouse=True)
def undrawn(monkeypatch: pytest.MonkeyPatch) -> None:
    """No validation pictures, and class pictures in one step."""
    monkeypatch.setattr(loop, "draw_validation", lambda *_: torch.zeros(3, 1, 3, 64, 64))
    monkeypatch.setattr(priors, "STEPS", 1)


@pytest.mark.parametrize("way", WAYS)
def test_a_run_cut_off_twice_ends_as_one_unbroken(way, concept, quick, tmp_path):
    settings = with_train(quick, **WAYS[way])
    whole, broken = (shutil.copytree(concept, tmp_path / name / "mug") for name in ("a", "b"))
    expected = train_concept(whole, settings, progress=silent).read_bytes()
    for last in (1, 2):
        with pytest.raises(Killed):
            train_concept(broken, settings, progress=killed_after(last + 1, 3))
        torch.manual_seed(last)
    assert train_concept(broken, settings, progress=silent).read_bytes() == expected


def test_every_method_is_one_of_the_settings():
    assert tuple(METHODS) == TRAIN_METHODS
