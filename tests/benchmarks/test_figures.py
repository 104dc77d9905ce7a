"""`make figures`: what is measured stays, what fails loses no other, times are measured alone."""

import json
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

import figure_runs
import figures
import pytest
from figure_list import (
    FIGURES,
    MEASUREMENTS,
    REHEARSAL,
    Command,
    Figure,
    Measurement,
    Picture,
    Size,
)
from figure_runs import Provenance, Setting
from PIL import Image
from typer.testing import CliRunner

from smalti.configs.errors import InputError, SmaltiError

ROOT = Path(__file__).parents[2]
MADE = Provenance("abc", "123", "a machine", "2026-01-02", 1.0)
SCRIPT = """
import json, sys
from pathlib import Path
out = Path(sys.argv[1])
count = out / "count.txt"
count.write_text(count.read_text() + "x" if count.exists() else "x")
if sys.argv[2] == "fail":
    sys.exit("it is broken")
(out / "value.json").write_text(json.dumps(sys.argv[2]))
"""


@pytest.fixture
def setting(tmp_path, monkeypatch) -> Setting:
    """A repository with one script in it and a page."""
    (tmp_path / "script.py").write_text(SCRIPT)
    (tmp_path / "page.md").write_text("a <!-- figure: one --> <!-- /figure --> b "
                                      "<!-- figure: two --> <!-- /figure --> c")  # fmt: skip
    monkeypatch.setattr(figure_runs, "ROOT", tmp_path)
    monkeypatch.setattr(figures, "ROOT", tmp_path)
    for name in ("sources_hash", "scripts_hash", "weights", "machine", "commit"):
        monkeypatch.setattr(figure_runs, name, lambda name=name: name)
    return Setting(Size(), None, 1, Path("runs"))


def measurement(name: str, word: str, **more) -> Measurement:
    return Measurement(name, 1, (Command(f"script.py {{out}} {word}"),), **more)


@pytest.fixture(autouse=True)
def plain_commands(monkeypatch):
    """Commands of these tests name their folder, which pages never show."""
    monkeypatch.setattr(Setting, "shown", lambda self, one: one.commands[0].shown)


def figure(name: str, of: str) -> Figure:
    return Figure(
        name, "page.md", of, lambda folder: json.loads((folder / "value.json").read_text())
    )


def test_a_figure_is_written_with_what_made_it_and_measured_once(setting, tmp_path):
    one, shown = measurement("m", "fine"), [figure("one", "m")]
    assert figures.measure_all(setting, [one], shown, tmp_path, 1) == []
    page = (tmp_path / "page.md").read_text()
    for part in ("fine", "commit", "weights", "machine", "script.py"):
        assert part in page.partition("<!-- /figure -->")[0]
    assert page.endswith("b <!-- figure: two --> <!-- /figure --> c")
    figures.measure_all(setting, [one], shown, tmp_path, 1)
    counter = tmp_path / setting.folder(one) / "count.txt"
    assert counter.read_text() == "x", "found again"
    figure_runs.forget(setting, one)
    figures.measure_all(setting, [one], shown, tmp_path, 1)
    assert counter.read_text() == "x", "begun anew"


def test_one_failure_loses_no_other(setting, tmp_path, capsys):
    wanted = [measurement("m", "fail"), measurement("n", "fine")]
    shown = [figure("one", "m"), figure("two", "n")]
    assert figures.measure_all(setting, wanted, shown, tmp_path, 2) == ["m"]
    page = (tmp_path / "page.md").read_text()
    assert "<!-- figure: one --> <!-- /figure -->" in page and "fine" in page
    assert "it is broken" in capsys.readouterr().out
    assert setting.done(wanted[0]) is None and setting.done(wanted[1]) is not None


def test_what_cannot_be_rendered_is_a_failure(setting, tmp_path):
    def render(folder: Path) -> str:
        return json.loads((folder / "absent.json").read_text())

    broken = replace(figure("one", "m"), render=render)
    assert figures.measure_all(setting, [measurement("m", "fine")], [broken], tmp_path, 1) == ["m"]


@pytest.mark.parametrize("name", ["sources_hash", "scripts_hash", "weights", "machine"])
def test_another_code_weights_or_machine_is_measured_anew(setting, monkeypatch, name):
    one = measurement("m", "fine")
    before = setting.folder(one)
    assert setting.folder(one) == before
    monkeypatch.setattr(figure_runs, name, lambda: "other")
    assert setting.folder(one) != before


def test_an_adapter_that_changed_is_measured_anew(setting, tmp_path):
    one = measurement("m", "fine", concepts=("pim",))
    with pytest.raises(InputError, match="concepts/pim"):
        setting.folder(one)
    (tmp_path / "concepts" / "pim").mkdir(parents=True)
    adapter = tmp_path / "concepts" / "pim" / "edlora.safetensors"
    folders = []
    for content in (b"a", b"b"):
        adapter.write_bytes(content)
        folders.append(setting.folder(one))
    assert folders[0] != folders[1]


def test_times_are_measured_with_nothing_beside_them(setting, monkeypatch):
    running, seen, lock = set(), [], threading.Lock()

    def made(_: Setting, one: Measurement) -> Provenance:
        with lock:
            running.add(one.name)
            seen.append(set(running))
        event.wait(0.02)
        with lock:
            running.discard(one.name)
        return MADE

    event = threading.Event()
    monkeypatch.setattr(figures, "measured", made)
    wanted = [measurement("alone", "", alone=True), *(measurement(n, "") for n in "abcd"),
              measurement("last", "", alone=True)]  # fmt: skip
    ended = [one.name for one, _ in figures.outcomes(setting, wanted, 2)]
    assert sorted(ended) == sorted(one.name for one in wanted)
    assert max(map(len, seen)) == 2
    assert all(names in ({"alone"}, {"last"}) or not names & {"alone", "last"} for names in seen)


def test_an_interrupted_command_starts_no_other(setting, monkeypatch):
    started = []

    def interrupted(_: Setting, one: Measurement) -> Provenance:
        started.append(one.name)
        raise KeyboardInterrupt

    monkeypatch.setattr(figures, "measured", interrupted)
    with pytest.raises(KeyboardInterrupt):
        for _, outcome in figures.outcomes(setting, [measurement(n, "") for n in "ab"], 1):
            outcome.result()
    assert started == ["a"]


def test_what_runs_is_interrupted_with_it(tmp_path):
    code = "import time; print('up', flush=True); time.sleep(60)"
    log, ended = tmp_path / "log.txt", []

    def run() -> None:
        try:
            figure_runs.run([sys.executable, "-c", code], log, 1)
        except KeyboardInterrupt:
            ended.append("interrupted")

    thread = threading.Thread(target=run)
    thread.start()
    while not (log.is_file() and "up\n" in log.read_text()):
        time.sleep(0.01)
    with pytest.raises(KeyboardInterrupt), figures.stopping():
        raise KeyboardInterrupt
    thread.join(timeout=30)
    assert ended == ["interrupted"] and not figure_runs.running


def test_pictures_become_what_their_names_say(tmp_path):
    Image.new("RGBA", (8, 6), (200, 0, 0, 255)).save(tmp_path / "a.png")
    for name, kind in (("docs/b.jpg", "JPEG"), ("docs/c.png", "PNG")):
        figures.copy_picture(tmp_path, Picture("a.png", name), tmp_path)
        with Image.open(tmp_path / name) as picture:
            assert (picture.format, picture.size) == (kind, (8, 6))
    with pytest.raises(SmaltiError, match="missing.png"):
        figures.copy_picture(tmp_path, Picture("missing.png", "docs/d.png"), tmp_path)


def test_what_runs_alone_comes_first_then_the_longest():
    found = figures.measurements(FIGURES)
    assert len(found) == len(MEASUREMENTS)
    assert [one.alone for one in found] == sorted((one.alone for one in found), reverse=True)
    rest = [one.minutes for one in found if not one.alone]
    assert rest == sorted(rest, reverse=True)


def test_all_fits_an_hour_of_two_cores():
    """Alone first, then two at a time, each by the core that is free first."""
    free = [0.0, 0.0]
    for one in figures.measurements(FIGURES):
        if one.alone:
            free = [max(free) + one.minutes] * 2
        else:
            free = sorted([free[0] + one.minutes, free[1]])
    assert max(free) <= 65


@pytest.mark.parametrize("size", [Size(), REHEARSAL], ids=["full", "rehearsal"])
def test_commands_are_complete(size: Size):
    setting = Setting(size, Path("a folder/lpips.safetensors"), 1, Path("runs"))
    for one in MEASUREMENTS:
        for command in one.commands:
            program, *words = setting.words(command, Path("runs/x"))
            assert program == sys.executable
            assert words[0] == "-m" or (ROOT / words[0]).is_file()
            assert not [word for word in words if "{" in word or "}" in word]


def test_a_program_that_is_interrupted_or_fails(setting, tmp_path):
    log = tmp_path / "log.txt"
    with pytest.raises(KeyboardInterrupt):
        figure_runs.run([sys.executable, "-c", "import sys; sys.exit(130)"], log, 1)
    with pytest.raises(SmaltiError, match="exit code 3"):
        figure_runs.run([sys.executable, "-c", "import sys; sys.exit(3)"], log, 1)


def test_names_are_listed_and_checked():
    done = CliRunner().invoke(figures.app, ["--list"])
    assert done.exit_code == 0
    assert all(one.name in done.output for one in FIGURES)
    wrong = CliRunner().invoke(figures.app, ["--only", "guide-photo"])
    assert wrong.exit_code == 2 and "guides-photo" in wrong.stderr


def test_a_page_without_its_marker_is_refused_before_work(setting, tmp_path):
    figures.check_pages([figure("one", "m")], tmp_path)
    with pytest.raises(InputError, match="three"):
        figures.check_pages([figure("three", "m")], tmp_path)
