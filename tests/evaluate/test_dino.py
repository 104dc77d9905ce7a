"""DINOv2's features on a tiny random network, against the network's own call."""

import json
from pathlib import Path

import torch
from transformers import Dinov2Config, Dinov2Model

from smalti.evaluate.dino import Dino


def test_features_are_the_class_tokens_of_scaled_images(tmp_path: Path) -> None:
    torch.manual_seed(0)
    config = Dinov2Config(
        hidden_size=8, num_hidden_layers=1, num_attention_heads=2, image_size=28, patch_size=14
    )
    Dinov2Model(config).save_pretrained(tmp_path)
    mean, deviation = [0.5, 0.4, 0.3], [0.2, 0.3, 0.4]
    facts = {"crop_size": {"height": 28}, "image_mean": mean, "image_std": deviation}
    (tmp_path / "preprocessor_config.json").write_text(json.dumps(facts))
    images = torch.rand(2, 3, 28, 28)
    scaled = torch.stack([(images[:, c] - mean[c]) / deviation[c] for c in range(3)], dim=1)
    with torch.no_grad():
        tokens = Dinov2Model.from_pretrained(tmp_path)(scaled).last_hidden_state[:, 0]
    found = Dino(tmp_path).image_features(images)
    torch.testing.assert_close(found, tokens / tokens.norm(dim=1, keepdim=True))
