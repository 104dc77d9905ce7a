"""Encoded crops: those of the images, and kept on disk only while valid."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from training import marked

from smalti.configs.settings import TrainSettings
from smalti.train.concept import load_concept
from smalti.train.dataset import LIGHTS, build_latents, latents_digest

SETTINGS = TrainSettings(crops_per_image=3)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Four images with masks, one of them a cut-out with its own alpha channel."""
    folder = tmp_path / "mug"
    folder.mkdir()
    for i in range(4):
        image, mask = marked((100 + 10 * i, 140), (30 + i, 40, 70, 110))
        if i == 3:
            image.putalpha(mask)
        else:
            mask.save(folder / f"p{i}.mask.png")
        image.save(folder / f"p{i}.png")
    return folder


def test_latents_are_those_of_the_crops_and_masks_by_area(folder: Path, tiny_base):
    concept = load_concept(folder, "mug")
    data = build_latents(concept, tiny_base, SETTINGS)
    assert data.latents.shape == (4, 3, 1, 4, 8, 8) and data.subject.shape == (4, 3, 1, 8, 8)
    assert data.has_mask.all()
    assert ((data.subject >= 0) & (data.subject <= 1)).all()
    assert ((data.subject > 0.05) & (data.subject < 0.95)).any(), "soft borders"
    # A subject's share never exceeds that of real picture.
    assert (data.subject <= data.padding + 1e-6).all()


def test_latents_come_from_the_cache_until_something_changes(folder: Path, tiny_base, tmp_path):
    cache, calls = tmp_path / "cache", []

    def build(settings=SETTINGS):
        calls.clear()
        concept = load_concept(folder, "mug")
        return build_latents(concept, tiny_base, settings, cache, lambda *told: calls.append(told))

    first = build()
    assert calls[-1][:2] == (4, 4)
    second = build()
    assert not calls and torch.equal(first.latents, second.latents)
    assert first.digest == second.digest
    changed = build(TrainSettings(crops_per_image=3, seed=1))
    assert calls and changed.digest != first.digest
    build()
    marked((110, 140), (10, 10, 60, 60))[0].save(folder / "p1.png")
    third = build()
    assert calls and not torch.equal(first.latents[1], third.latents[1])
    # Crops are keyed by content: the other images kept theirs.
    assert torch.equal(first.latents[0], third.latents[0])
    assert len(list(cache.glob("*"))) == 1
    next(cache.glob("latents-*")).write_bytes(b"cut short")
    assert torch.equal(build().latents, third.latents) and calls


def test_relit_copies_stand_beside_the_crops(folder: Path, tiny_base):
    concept = load_concept(folder, "mug")
    plain = build_latents(concept, tiny_base, SETTINGS)
    settings = replace(SETTINGS, relit_share=0.5)
    data = build_latents(concept, tiny_base, settings)
    assert plain.lights == 0 and data.lights == LIGHTS
    torch.testing.assert_close(data.latents[:, :, :1], plain.latents, atol=1e-4, rtol=0)
    views = data.latents.flatten(0, 1).flatten(2)
    distances = torch.cdist(views, views) + 1e3 * torch.eye(1 + LIGHTS)
    assert distances.min() > 0.1  # none is the crop itself or another copy
    assert data.digest != plain.digest
    assert torch.equal(build_latents(concept, tiny_base, settings).latents, data.latents)


def test_without_masks(folder: Path, tiny_base):
    settings = TrainSettings(crops_per_image=2, use_masks=False)
    data = build_latents(load_concept(folder, "mug"), tiny_base, settings)
    assert not data.has_mask.any() and torch.equal(data.subject, data.padding)


def test_latents_of_another_precision_are_others(folder: Path, tiny_base):
    concept, half = load_concept(folder, "mug"), replace(tiny_base, dtype=torch.bfloat16)
    keys = {latents_digest(concept, base, SETTINGS) for base in (tiny_base, half)}
    assert len(keys) == 2
