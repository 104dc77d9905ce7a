"""The folder of an evaluation: whose it is, and rows that survive."""

from pathlib import Path

import pytest

from smalti.configs.errors import InputError
from smalti.generate.evaluate.protocol import Protocol
from smalti.generate.evaluate.results import (
    KEYS,
    RECORD,
    SCORES,
    Results,
    claim,
    is_complete,
)
from smalti.generate.evaluate.table import MISSING

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
    with pytest.raises(Exception, match="disk is full"):
        Results(path).put((*KEY[:5], "other"), scores())
    assert path.read_bytes() == before


@pytest.mark.parametrize("text", ["", "pair,seed\ncat,0\n", f"{','.join((*KEYS, *SCORES))}\ncat\n"])
def test_other_columns_are_refused(tmp_path: Path, text: str):
    (tmp_path / "results.csv").write_text(text)
    with pytest.raises(InputError, match="Move it away"):
        Results(tmp_path / "results.csv")


def test_only_what_could_be_measured_now_is_incomplete():
    row = scores(clip=MISSING, lpips_64=MISSING)
    assert is_complete(row, set())
    assert is_complete(row, {"blip"})
    assert not is_complete(row, {"lpips_64"})


def test_a_folder_belongs_to_one_evaluation(tmp_path: Path):
    folder, file, weights = tmp_path / "mine", tmp_path / "a.png", tmp_path / "lpips"
    file.touch()
    weights.write_bytes(b"some")
    claim(folder, Protocol(), None)
    claim(folder, Protocol(), weights)
    claim(folder, Protocol(), None)  # known weights need not be given again
    more = Protocol(overrides=("mosaic.steps=2",))
    for other in (Protocol(grid="4x4"), Protocol(base="sd21"), more):
        with pytest.raises(InputError, match="holds another evaluation.*--out"):
            claim(folder, other, None)
    claim(folder, Protocol(overrides=("mosaic.batch_size=1",)), None)  # as advised
    weights.write_bytes(b"others")
    with pytest.raises(InputError, match="LPIPS weights"):
        claim(folder, Protocol(), weights)
    with pytest.raises(InputError, match="is a file"):
        claim(file, Protocol(), None)
    with pytest.raises(InputError, match="no evaluation"):
        claim(tmp_path, Protocol(), None)
    assert not (tmp_path / RECORD).exists()
