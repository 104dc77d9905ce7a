"""The benchmark of the press: its mosaics, and what it measures of small ones."""

import json
from pathlib import Path

import press
import pytest
from typer.testing import CliRunner

pytest.importorskip("pyvips")


def test_a_line_has_speed_and_memory():
    found = {"seconds": 20.0, "cpu": 10.0, "memory": 2**30, "bytes": 5e6}
    assert press.row_of(5000, "tiff", found)[2:] == (
        "25", "20", "10", "2.5", "1.00 GiB", "5 MB",
    )  # fmt: skip


@pytest.mark.slow
def test_everything_is_written_and_measured(tmp_path: Path, monkeypatch):
    monkeypatch.setattr(press, "run_in_subprocess", lambda function, *words: function(*words))
    kept = tmp_path / "figures.json"
    words = ["--sides", "1000", "--what", ",".join(press.WHATS), "--folder", str(tmp_path)]
    done = CliRunner().invoke(press.app, [*words, "--json", str(kept)], catch_exceptions=False)
    assert done.exit_code == 0
    rows = json.loads(kept.read_text())
    assert {row["what"] for row in rows} == set(press.WHATS)
    assert all(row["bytes"] > 1000 and row["seconds"] > 0 for row in rows)
    assert [path.name for path in tmp_path.iterdir()] == ["figures.json"]
