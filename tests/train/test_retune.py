"""One vector per word in place of layer-wise ones: the mean, moved with everything else frozen."""

from dataclasses import replace

import pytest
import torch
from exchanging import write_trained
from safetensors.torch import load_file
from training import QUICK, make_concept

from smalti.configs.settings import Settings
from smalti.train.concept import load_concept
from smalti.train.retune import retune


@pytest.fixture
def settings(tiny_settings) -> Settings:
    return replace(Settings(), base=tiny_settings, train=QUICK)


@pytest.mark.slow
def test_words_begin_at_the_mean_and_are_moved_by_training(tiny_base, settings, tmp_path):
    path = tmp_path / "edlora.safetensors"
    write_trained(tiny_base, path)
    before = path.read_bytes()
    own = load_file(path)
    mean = torch.stack([own[f"edlora.<sylvie-{n}>.layers"].mean(dim=0) for n in (1, 2)])
    concept = load_concept(make_concept(tmp_path / "mug"), "mug")
    seen = []

    def falling(images: torch.Tensor) -> torch.Tensor:
        seen.append(images.clone())
        return torch.full((len(images),), 1 / len(seen))

    found = retune(path, concept, settings, 1, likeness=falling)
    torch.testing.assert_close(found.words, mean)  # what was trained is worse
    assert (found.layerwise, found.mean) == (1, 0.5) and found.retuned == pytest.approx(1 / 3)
    moved = retune(path, concept, settings, 2)  # without a judge, what was trained is kept
    assert (moved.words - mean).abs().max() > 1e-3 and moved.retuned is None
    assert path.read_bytes() == before
    assert not torch.equal(seen[0], seen[1])  # the words act
