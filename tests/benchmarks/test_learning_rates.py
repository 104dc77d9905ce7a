"""The sweep on the tiny model: reading rates, copies of concept folders, results found again."""

from pathlib import Path

import pytest
import torch
from learning_rates import parse_rates, table_rows
from PIL import Image
from sweep import Rates, Result, combined, copy_concept, folder_name, read_result, run_combination

from smalti.configs.errors import InputError
from smalti.configs.settings import MosaicSettings, Settings, TrainSettings


class BrightnessJudge:
    """Finds pictures alike whatever they show."""

    def image_features(self, images: torch.Tensor) -> torch.Tensor:
        return torch.ones(len(images), 4) / 2


def test_one_rate_keeps_the_published_ratio():
    assert parse_rates("1e-4,1e-3") == [(1e-3, 1e-5, 1e-4), (1e-2, 1e-4, 1e-3)]
    assert parse_rates("1e-2/2e-4/3e-3") == [(1e-2, 2e-4, 3e-3)]


@pytest.mark.parametrize("text", ["", "fast", "1e-3/1e-4", "1e-3,"])
def test_bad_rates_are_refused(text):
    with pytest.raises(InputError) as raised:
        parse_rates(text)
    assert "--rates" in str(raised.value)


def test_ruined_images_never_lead_the_table():
    rates = Rates(1e-2, 1e-4, 1e-3)
    ruined = Result(32, rates, 9, 0.45, -0.1, 0.46, 0.0)
    results = [ruined, Result(4, rates, 9, 0.5, 0.4, 0.46, 60.0), Result(16, rates, 9, 0.7, 0.4,
               0.46, 0.0)]  # fmt: skip
    rows = table_rows(results)
    assert rows[0] == ["16", "0.01", "0.0001", "0.001", "9", "0.700", "0.400", "0.460", "+0.300",
                       ""]  # fmt: skip
    assert rows[1][-2:] == ["+0.100", "1.0"]
    assert rows[2][-2] == "(+0.550)"


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


def test_a_copy_has_photos_masks_and_captions_only(source, tmp_path):
    copy = copy_concept(source, tmp_path / "mug")
    photos = {f"v1.{number}.png" for number in range(3)}
    kept = photos | {"v1.0.mask.png", "v1.0.txt", "concept.toml"}
    assert {path.name for path in copy.iterdir()} == kept


@pytest.mark.slow
def test_a_combination_is_trained_once(source, tiny_settings, tmp_path, monkeypatch):
    import sweep

    monkeypatch.setattr(sweep, "IMAGES", 9)
    train = TrainSettings(crops_per_image=1, batch_size=2, class_word="mug", validation_steps=1)
    plain = Settings(tiny_settings, train, MosaicSettings())
    settings = combined(plain, 2, Rates(1e-3, 1e-5, 1e-4), 2)
    folder = tmp_path / folder_name(source, settings, 2)
    assert read_result(folder) is None
    result = run_combination(settings, source, folder, BrightnessJudge(), 2)
    assert (result.rank, result.steps, result.rates.unet) == (2, 2, 1e-4)
    assert result.likeness == pytest.approx(0)
    assert Image.open(folder / "sheet.png").height > 5 * 128
    assert (source / "edlora.safetensors").stat().st_size == 0  # the source is only read
    monkeypatch.setattr(sweep, "train_concept", None)  # whoever trains, fails
    assert run_combination(settings, source, folder, BrightnessJudge(), 2) == result
    others = [combined(plain, 4, result.rates, 2), combined(plain, 2, result.rates, 3)]
    assert len({folder.name, *(folder_name(source, other, 2) for other in others)}) == 3
