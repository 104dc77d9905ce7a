"""Recipes side by side on the tiny model: copies of concepts, results found again, the table."""

import math
from dataclasses import replace
from pathlib import Path

import pytest
import recipes
import torch
import trial
from PIL import Image

from smalti.configs.errors import InputError
from smalti.configs.settings import MosaicSettings, Settings, TrainSettings

RESULT = trial.Result("mug", 0, 10.0, 5.0, 0.5, 0.75, 0.4, 0.1, math.nan, 0.6)


class BrightnessJudge:
    """Finds pictures alike whatever they show."""

    def image_features(self, images: torch.Tensor) -> torch.Tensor:
        return torch.ones(len(images), 4) / 2


@pytest.fixture(scope="module")
def source(tmp_path_factory) -> Path:
    """A trained concept of three photos, one with a mask and a caption."""
    folder = tmp_path_factory.mktemp("source") / "mug"
    (folder / ".training").mkdir(parents=True)
    for number in range(3):
        Image.new("RGB", (64, 64), (60 * number, 90, 90)).save(folder / f"v1.{number}.png")
    Image.new("L", (64, 64), 255).save(folder / "v1.0.mask.png")
    (folder / "v1.0.txt").write_text("a <concept> on a chair")
    (folder / "concept.toml").write_text('class_word = "mug"\n')
    for name in ("edlora.safetensors", "validation.png", ".training/log.jsonl"):
        (folder / name).touch()
    return folder


def test_a_recipe_changes_what_it_names_only(source, tmp_path):
    plain, changed = (
        recipes.trial_settings(text, source, None, 3, "2x2", tmp_path / "a.png")
        for text in ("", "rank=5,learning_rate_unet=1e-4")
    )
    assert changed == replace(plain, train=replace(plain.train, rank=5, learning_rate_unet=1e-4))
    assert plain.train.seed == 3 and plain.train.class_word == "mug"
    with pytest.raises(InputError) as raised:
        recipes.trial_settings("ranks=5", source, None, 3, "2x2", tmp_path / "a.png")
    assert "ranks" in str(raised.value)


def test_a_row_has_means_of_what_was_measured():
    other = replace(RESULT, seconds=0.0, guided=0.6, class_word=0.2, background=0.25)
    row = recipes.table_row("rank=5", [RESULT, other])
    assert row == ["rank=5", "2", "10", "5.0", "0.500", "50 %", "0.500", "+0.350", "", "0.600"]
    seen = recipes.table_row("", [replace(RESULT, eyes=0.4), other])
    assert seen[-2] == "0.400"


def test_a_copy_has_photos_masks_and_captions_only(source, tmp_path):
    copy = trial.copy_concept(source, tmp_path / "mug")
    photos = {f"v1.{number}.png" for number in range(3)}
    kept = photos | {"v1.0.mask.png", "v1.0.txt", "concept.toml"}
    assert {path.name for path in copy.iterdir()} == kept


def test_obedience_counts_borders_of_the_colour_named():
    shades = {"red": (220, 30, 30), "green": (40, 160, 60), "blue": (40, 70, 210)}
    wanted = [shades["red"], shades["green"], shades["blue"], shades["blue"]]  # the last: yellow
    pictures = torch.tensor(wanted)[:, :, None, None].expand(-1, -1, 32, 32) / 255
    assert trial.obedience(torch.cat([pictures, pictures])) == 0.75


@pytest.mark.slow
def test_a_trial_is_trained_and_judged_once(source, tiny_settings, tmp_path, monkeypatch):
    monkeypatch.setattr(trial, "IMAGES", 4)
    train = TrainSettings(
        crops_per_image=1, batch_size=2, class_word="mug", validation_steps=1, steps=2,
        validation_prompts=("a <concept>",),
    )  # fmt: skip
    photo = tmp_path / "photo.png"
    Image.new("RGB", (64, 64), (200, 90, 90)).save(photo)
    mosaic = MosaicSettings()
    picture = replace(mosaic.picture, ref=str(photo), grid="1x2")
    mosaic = replace(mosaic, picture=picture, sampler=replace(mosaic.sampler, steps=2))
    settings = Settings(tiny_settings, train, mosaic)
    folder = tmp_path / trial.trial_folder(source, settings, "own")
    assert trial.read_result(folder) is None
    result = trial.run_trial(settings, source, folder, BrightnessJudge())
    assert result.unguided == result.guided == result.class_word == pytest.approx(1)
    assert math.isnan(result.eyes) and result.seconds > 0
    adapter = folder / "mug" / "edlora.safetensors"
    assert result.megabytes == adapter.stat().st_size / 1e6
    adapter.unlink()
    again = trial.run_trial(settings, source, folder, BrightnessJudge())
    assert replace(again, eyes=0) == replace(result, eyes=0) and not adapter.exists()
