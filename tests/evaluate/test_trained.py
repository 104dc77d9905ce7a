"""Methods compared: what is drawn and judged of a training, and the table of all results."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from smalti.cli.compare import read_by
from smalti.configs.files import write_json
from smalti.configs.mosaic import changed
from smalti.configs.settings import Settings
from smalti.configs.train import TrainSettings
from smalti.evaluate.jury import Jury
from smalti.evaluate.method_table import BARE, COLUMNS, write_comparison
from smalti.evaluate.trained import EACH, PLAIN, Trained, scored
from smalti.generate.engine import Engine
from smalti.models.edlora import detach, save_adapter
from smalti.models.sheets import sheet_shows
from smalti.train.methods import method_of


class FakeJudge:
    """Features are mean colours, of unit length."""

    def image_features(self, images: torch.Tensor) -> torch.Tensor:
        return torch.nn.functional.normalize(images.mean(dim=(2, 3)) + 0.1, dim=-1)

    def similarity(self, images, texts):
        return torch.zeros(len(images), len(texts))


@pytest.mark.slow
def test_a_training_is_drawn_judged_and_found_again(tiny_settings, tiny_base, tmp_path):
    train = TrainSettings(method="custom-diffusion")
    adapter = method_of(train).attach(tiny_base, "mug", "mug", train)
    path = tmp_path / "mug.safetensors"
    save_adapter(tiny_base, adapter, path)
    detach(tiny_base, adapter)
    photo = tmp_path / "photo.png"
    Image.fromarray(np.full((64, 64, 3), 90, np.uint8)).save(photo)
    settings = Settings(base=tiny_settings, train=train)
    mosaic = changed(settings.mosaic, steps=1, grid="1x2", ref=str(photo), guidance=False)
    settings = Settings(settings.base, train, mosaic)
    engine, judge = Engine(tiny_base, "no"), FakeJudge()
    jury = Jury(judge, judge, "DINOv2, styles CLIP")
    photos = judge.image_features(torch.rand(3, 3, 8, 8))
    one = Trained(train.method, 0, path, "mug", 12.0)
    found = scored(engine, settings, one, tmp_path / "a", jury, photos)
    assert {column.name for column in COLUMNS} - {"trainings"} <= found.keys()
    assert len(list((tmp_path / "a/pictures").glob("*.png"))) == PLAIN + 8 * EACH
    assert found["seconds"] == 12 and found["megabytes"] == path.stat().st_size / 1e6
    assert scored(None, settings, one, tmp_path / "a", jury, photos) == found
    bare = Trained(BARE, 0, None, "mug")
    scored(engine, settings, bare, tmp_path / "b", jury, photos)
    table, sheet = write_comparison(tmp_path, "mug")
    assert "judged by DINOv2, styles CLIP;" in table.read_text()
    rows = [line.split("|")[1].strip() for line in table.read_text().splitlines() if "|" in line]
    assert rows[2:] == [BARE, "custom-diffusion"]
    assert Image.open(sheet).width > 10 * 128 and sheet_shows(sheet) == ""
    for own in list(tiny_base.adapters.values()):
        detach(tiny_base, own)


def test_the_table_has_means_over_trainings(tmp_path: Path, monkeypatch):
    monkeypatch.setattr("smalti.evaluate.method_table.contact_sheet", lambda *_, **__: None)
    monkeypatch.setattr("smalti.evaluate.method_table.shown_pictures", lambda *_: [])
    scores = {column.name: 1.0 for column in COLUMNS}
    for seed, likeness in ((0, 0.25), (1, 0.75)):
        facts = {"method": "lora", "seed": seed, "mosaic": "m", **scores, "likeness": likeness}
        write_json(tmp_path / f"lora-seed{seed}/result.json", facts)
    table, _ = write_comparison(tmp_path, "mug")
    row = next(line for line in table.read_text().splitlines() if line.startswith("| lora"))
    assert [cell.strip() for cell in row.split("|")[2:4]] == ["2", "0.500"]


def test_an_override_goes_to_the_methods_that_read_it():
    given = ["train.rank=8", "train.steps=3", "mosaic.steps=2", "train.num_vectors=2"]
    chosen = ["lora", "dreambooth"]
    assert read_by("lora", chosen, given) == given
    assert read_by("dreambooth", chosen, given) == given[1:]
