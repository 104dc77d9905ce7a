"""DINOv2's features on a tiny random network, against the network's own call; who asks it."""

import json
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from transformers import Dinov2Config, Dinov2Model

from smalti.evaluate import jury
from smalti.evaluate.dino import Dino

MEAN, DEVIATION = [0.5, 0.4, 0.3], [0.2, 0.3, 0.4]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A network in the hub's layout."""
    torch.manual_seed(0)
    config = Dinov2Config(
        hidden_size=8, num_hidden_layers=1, num_attention_heads=2, image_size=28, patch_size=14
    )
    Dinov2Model(config).save_pretrained(tmp_path)
    facts = {"crop_size": {"height": 28}, "image_mean": MEAN, "image_std": DEVIATION}
    (tmp_path / "preprocessor_config.json").write_text(json.dumps(facts))
    return tmp_path


def test_features_are_the_class_tokens_of_scaled_images(folder: Path) -> None:
    images = torch.rand(2, 3, 28, 28)
    scaled = torch.stack([(images[:, c] - MEAN[c]) / DEVIATION[c] for c in range(3)], dim=1)
    with torch.no_grad():
        tokens = Dinov2Model.from_pretrained(folder)(scaled).last_hidden_state[:, 0]
    found = Dino(folder).image_features(images)
    torch.testing.assert_close(found, tokens / tokens.norm(dim=1, keepdim=True))


@pytest.mark.parametrize(
    ("base", "is_here", "asked"),
    [("starter", True, False), ("sd15", True, True), ("sd15", False, False)],
)
def test_likeness_is_dinos_on_other_bases_where_it_is_here(
    folder: Path, base: str, is_here: bool, asked: bool, monkeypatch
) -> None:
    found = SimpleNamespace(folder=lambda: folder if is_here else None, title="DINOv2")
    monkeypatch.setattr(jury, "DINO", found)
    chosen = jury.find_jury(base)
    assert isinstance(chosen.alike, Dino) is asked
    assert (chosen.alike is chosen.words) is not asked
    assert chosen.name == ("DINOv2, styles starter-CLIP" if asked else "starter-CLIP")
