"""Engine against commands: their arithmetic, and two mosaics of the tiny model both ways."""

from pathlib import Path
from unittest.mock import create_autospec

import overhead
import pytest
from overhead import EngineTimes, command_options, differing_tiles, run_command
from scenes import Scene, row_settings
from typer.testing import CliRunner

from smalti.cli import gen
from smalti.configs.errors import SmaltiError


def test_the_first_mosaic_counts_only_where_the_opening_does():
    times = EngineTimes(10.0, (9.0, 1.0, 2.0))
    assert times.further == 2.0
    assert times.all_in == pytest.approx(22 / 3)


def test_the_ratio_is_of_a_command_to_a_further_mosaic(capsys: pytest.CaptureFixture):
    stages = [dict.fromkeys(overhead.STAGES, seconds) for seconds in (1.0, 7.0, 2.0)]
    overhead.show(EngineTimes(4.0, (1.0, 1.0)), [6.0, 8.0], stages, 4.0, 3)
    shown = capsys.readouterr().out
    assert " 7.0 times" in shown and " 2.3 times" in shown and shown.count("12%") == 6
    assert "differ: 3" in " ".join(shown.split())


def test_the_command_line_says_what_the_settings_are(tmp_path: Path, monkeypatch):
    """Whatever the command resolves is what the engine draws."""
    photo, shown = tmp_path / "photo.png", create_autospec(gen.show_plan)
    monkeypatch.setattr(gen, "show_plan", shown)
    words = command_options(None, "draft", photo, "2x3", 7)
    assert CliRunner().invoke(gen.app, [*words, "--dry-run"]).exit_code == 0
    scene = Scene({"tile_prompt": (overhead.PROMPT,), "ref": str(photo)})
    assert shown.call_args.args[0] == row_settings("draft", None, scene, "2x3", 7)


@pytest.mark.slow
def test_a_command_that_fails_says_why():
    with pytest.raises(SmaltiError) as raised:
        run_command(["--grid", "2by2", "--tile-prompt", "a cat"])
    assert "--grid" in str(raised.value) and "exit code 2" in str(raised.value)


def test_tiles_are_compared_byte_for_byte(tmp_path: Path):
    for name, last in (("one", b"b"), ("other", b"c")):
        (tmp_path / name / "tiles").mkdir(parents=True)
        (tmp_path / name / "tiles" / "r00_c00.png").write_bytes(b"a")
        (tmp_path / name / "tiles" / "r00_c01.png").write_bytes(last)
    assert differing_tiles(tmp_path / "one", tmp_path / "other") == 1


@pytest.mark.slow
def test_both_ways_draw_the_same_tiles(tiny_sd: Path, monkeypatch):
    """In this process, where everything is imported already."""

    def run_here(options) -> float:
        assert CliRunner().invoke(gen.app, options).exit_code == 0
        return 1.0

    shown = create_autospec(overhead.show)
    runs = {"show": shown, "run_command": run_here, "ROUNDS": 1,
            "run_in_subprocess": lambda function, *arguments: function(*arguments)}  # fmt: skip
    for name, value in runs.items():
        monkeypatch.setattr(overhead, name, value)
    options = ["--base", str(tiny_sd), "--mosaics", "2", "--grid", "1x2"]
    done = CliRunner().invoke(overhead.app, options)
    assert done.exit_code == 0, done.output
    engine, commands, stages, _, different = shown.call_args.args
    assert different == 0 and len(engine.mosaics) == len(commands) == 2
    assert [set(found) for found in stages] == [set(overhead.STAGES)]
