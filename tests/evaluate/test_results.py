"""The folder of an evaluation: whose it is, and rows that survive."""

from dataclasses import replace
from pathlib import Path
from unittest.mock import create_autospec

import pytest

from smalti.configs.errors import InputError, SmaltiError
from smalti.evaluate import results
from smalti.evaluate.protocol import Protocol
from smalti.evaluate.results import (
    KEYS,
    RECORD,
    SCORES,
    Results,
    at_one_precision,
    claim,
    is_complete,
)
from smalti.evaluate.table import MISSING

KEY = ("cat", "0", "smalti", "fast", "", "0123abcd")


def scores(**changed) -> dict:
    return {**dict.fromkeys(SCORES, 0.5), **changed}


def test_rows_come_back_as_they_were(tmp_path: Path):
    path = tmp_path / "results.csv"
    put = Results(path).put(KEY, scores(clip=MISSING, seconds=None, psnr_64=17.123456789))
    assert put["psnr_64"] == 17.1235  # the first report shows what later ones will
    assert Results(path).get(KEY) == put
    assert (put["clip"], put["seconds"]) == (MISSING, None)
    again = Results(path)
    again.put((*KEY[:5], "other"), scores())
    again.put(KEY, scores(psnr_64=1.0))
    assert Results(path).get(KEY)["psnr_64"] == 1.0
    lines = path.read_text().splitlines()
    assert lines[0].split(",") == [*KEYS, *SCORES] and len(lines) == 3
    assert [file.name for file in tmp_path.iterdir()] == ["results.csv"]


def test_a_failed_write_leaves_the_old_rows(tmp_path: Path, monkeypatch):
    path = tmp_path / "results.csv"
    Results(path).put(KEY, scores())
    before = path.read_bytes()

    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.replace", full)
    with pytest.raises(SmaltiError):
        Results(path).put((*KEY[:5], "other"), scores())
    assert path.read_bytes() == before


@pytest.mark.parametrize("text", ["", "pair,seed\ncat,0\n", f"{','.join((*KEYS, *SCORES))}\ncat\n"])
def test_other_columns_are_refused(tmp_path: Path, text: str):
    (tmp_path / "results.csv").write_text(text)
    with pytest.raises(InputError) as raised:
        Results(tmp_path / "results.csv")
    assert "results.csv" in str(raised.value)


def test_only_what_could_be_measured_now_is_incomplete():
    row = scores(clip=MISSING, lpips_64=MISSING)
    assert is_complete(row, set())
    assert is_complete(row, {"blip"})
    assert not is_complete(row, {"lpips_64"})


@pytest.fixture
def protocol() -> Protocol:
    return Protocol(precision="no")


@pytest.mark.parametrize(
    ("change", "token"),
    [
        ({"grid": "4x4"}, "4x4"),
        ({"base": "sd21"}, "sd21"),
        ({"precision": "bf16"}, "bf16"),
        ({"overrides": ("mosaic.steps=2",)}, "steps"),
    ],
)
def test_a_folder_belongs_to_one_evaluation(protocol, tmp_path: Path, change: dict, token: str):
    folder = tmp_path / "mine"
    claim(folder, protocol, None)
    claim(folder, protocol, None)
    before = (folder / RECORD).read_bytes()
    with pytest.raises(InputError) as raised:
        claim(folder, replace(protocol, **change), None)
    assert "--out" in str(raised.value) and token in str(raised.value)
    assert (folder / RECORD).read_bytes() == before


def test_what_changes_no_picture_may_change(protocol, tmp_path: Path):
    folder = tmp_path / "mine"
    one, other = ("mosaic.sampler.steps=2",), ("mosaic.steps=2", "mosaic.batch_size=1")
    claim(folder, replace(protocol, overrides=one), None)
    claim(folder, replace(protocol, overrides=other), None)  # as advised where memory runs out


def test_lpips_weights_may_come_later_but_not_change(protocol, tmp_path: Path):
    folder, weights = tmp_path / "mine", tmp_path / "lpips"
    weights.write_bytes(b"some")
    claim(folder, protocol, None)
    claim(folder, protocol, weights)
    claim(folder, protocol, None)  # known weights need not be given again
    weights.write_bytes(b"others")
    with pytest.raises(InputError) as raised:
        claim(folder, protocol, weights)
    assert "lpips" in str(raised.value)


def test_an_evaluation_goes_on_at_the_precision_it_began_with(tmp_path: Path, monkeypatch):
    resolved = create_autospec(results.resolve_precision, side_effect=lambda wanted, _: (
        "bf16" if wanted == "auto" else wanted))  # fmt: skip
    monkeypatch.setattr(results, "resolve_precision", resolved)
    folder, plain = tmp_path / "mine", Protocol()
    assert at_one_precision(plain, folder).precision == "bf16"
    claim(folder, replace(plain, precision="no"), None)  # begun on another machine
    assert at_one_precision(plain, folder).precision == "no"
    named = Protocol(overrides=("mosaic.mixed_precision=fp16",))
    assert at_one_precision(named, folder).precision == "fp16"


def test_what_else_lies_there_is_left_alone(protocol, tmp_path: Path):
    (tmp_path / "letter.txt").touch()
    for place in (tmp_path, tmp_path / "letter.txt"):
        with pytest.raises(InputError) as raised:
            claim(place, protocol, None)
        assert "--out" in str(raised.value)
    assert [path.name for path in tmp_path.iterdir()] == ["letter.txt"]
