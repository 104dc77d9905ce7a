"""The whole evaluation on the tiny model: what it leaves, and that it goes on where it was."""

import sys
from dataclasses import replace
from pathlib import Path
from unittest.mock import create_autospec

import pytest
from evaluating import POOL, QUICK, InProcess, ignore, read_rows
from PIL import Image
from safetensors.torch import save

from smalti.configs.errors import InputError
from smalti.evaluate import report, run
from smalti.evaluate.protocol import (
    ABLATION,
    LPIPS_GUIDED,
    PAIRS,
    Protocol,
    all_cases,
    table_rows,
)
from smalti.evaluate.run import evaluate, outline
from smalti.generate.store import Store, read_record

pytestmark = pytest.mark.slow  # each test draws or trains on the tiny model


@pytest.fixture
def protocol(tiny_sd: Path) -> Protocol:
    return Protocol(str(tiny_sd), "1x2", QUICK)


@pytest.fixture
def pooled(tiny_sd: Path) -> Protocol:
    return Protocol(str(tiny_sd), "1x2", (*QUICK, POOL))


@pytest.fixture
def cases():
    return all_cases(PAIRS[:2], [0], table_rows(["smalti", "match"], ["fast"]))


@pytest.fixture
def no_plots(monkeypatch: pytest.MonkeyPatch):
    """For tests of something else: plots and the sheet of predictions take their time."""
    plots, sheet = (create_autospec(f) for f in (report.draw_plots, run.update_evolution))
    plots.return_value = []
    monkeypatch.setattr(report, "draw_plots", plots)
    monkeypatch.setattr(run, "update_evolution", sheet)


@pytest.mark.slow
def test_two_pairs_by_two_methods(pooled, cases, tmp_path: Path):
    out, runner, said = tmp_path / "out", InProcess(), []
    assert evaluate(pooled, cases, out, log=said.append, run=runner) == out / "report.md"
    assert runner.references == 2
    assert runner.drawn == [f"{pair}-s0-{method}-fast" for pair in ("cat", "dog")
                            for method in ("smalti", "match")]  # fmt: skip
    assert [line[:3] for line in said if line[0].isdigit()] == ["1/4", "2/4", "3/4", "4/4"]
    rows = read_rows(out)
    assert [(row["pair"], row["method"]) for row in rows] == [
        ("cat", "smalti"), ("cat", "match"), ("dog", "smalti"), ("dog", "match"),
    ]  # fmt: skip
    assert {row["lpips_64"] for row in rows} == {row["clip"] for row in rows} == {"weights missing"}
    text = (out / "report.md").read_text()
    own = [float(row["psnr_64"]) for row in rows if row["method"] == "smalti"]
    assert f"| smalti, fast | {sum(own) / 2:.2f} |" in text and "`--lpips FILE`" in text
    for name in ("ssim.png", "tradeoff.png", "evolution.png", "sheet-seed0.png"):
        assert f"({name})" in text and (out / name).stat().st_size > 1000
    sheet = Image.open(out / "sheet-seed0.png")
    assert sheet.width > 2 * 320 and sheet.height > 3 * 320  # pairs; the reference and two methods


@pytest.mark.slow
def test_predictions_are_drawn_once_for_the_same_mosaics(tiny_sd, tmp_path: Path, monkeypatch):
    monkeypatch.setattr(report, "draw_plots", create_autospec(report.draw_plots, return_value=[]))
    out, picture = tmp_path / "out", tmp_path / "out" / "evolution.png"
    protocol = Protocol(str(tiny_sd), "1x2", QUICK)
    both = all_cases(PAIRS[:1], [0], table_rows(["smalti", "adain"], ["fast"]))
    evaluate(protocol, both, out, log=ignore, run=InProcess())
    stamp, height = picture.stat().st_mtime_ns, Image.open(picture).height
    evaluate(protocol, both, out, log=ignore, run=InProcess())
    assert picture.stat().st_mtime_ns == stamp
    evaluate(protocol, both[:1], out, log=ignore, run=InProcess())
    assert Image.open(picture).height < height  # one row less


def test_pictures_that_are_placed_have_no_predictions(pooled, cases, tmp_path: Path):
    (tmp_path / "evolution.png").touch()
    mosaics, _ = run.plan_all(pooled, cases[1:2], tmp_path, None)
    assert [mosaic.case.row.method for mosaic in mosaics] == ["match"]
    runner = create_autospec(run.run_in_subprocess)
    run.update_evolution(mosaics, tmp_path / "evolution.png", runner)
    assert not runner.called and not (tmp_path / "evolution.png").exists()


@pytest.mark.slow
def test_all_rows_share_the_reference_and_its_noise(protocol, tmp_path: Path, no_plots):
    """Alone, each preset would draw its reference with its own scheduler."""
    cases = all_cases(PAIRS[:1], [0], table_rows(["smalti"], ["fast", "paper"]))
    evaluate(protocol, cases, tmp_path / "out", log=ignore, run=InProcess())
    pictures = [*tmp_path.glob("out/references/*.png"), *tmp_path.rglob("reference.png")]
    assert len(pictures) == 3
    pixels = {Image.open(path).tobytes() for path in pictures}
    assert len(pixels) == 1
    for folder in tmp_path.glob("out/mosaics/*"):
        record = read_record(folder) or {}
        # No photo: so tiles start from the noise that the reference was drawn from.
        assert record["settings"]["mosaic"]["picture"]["ref"] == ""
        assert record["state"] == "finished"


@pytest.mark.slow
def test_an_interrupted_run_goes_on_and_draws_nothing_twice(
    pooled, cases, tmp_path: Path, monkeypatch, no_plots
):
    """Ctrl-C in the middle of the third mosaic; one of its two tiles is there by then."""
    out, saved = tmp_path / "out", []
    # A mosaic that measures its pull may draw its first tiles again.
    pooled = replace(pooled, overrides=(*pooled.overrides, "mosaic.guidance_strength=0.25"))
    original = Store.save

    def interrupted(self, *arguments):
        if self.folder.name.startswith("dog"):
            saved.append(arguments[0])
            if len(saved) == 2:
                raise KeyboardInterrupt
        original(self, *arguments)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(Store, "save", interrupted)
        evaluate(pooled, cases, out, log=ignore, run=InProcess())
    assert len(read_rows(out)) == 2 and not (out / "report.md").exists()
    before = {path: path.stat().st_mtime_ns for path in out.rglob("*_c*.png")}
    assert len([path for path in before if "dog-s0-smalti" in str(path)]) == 1

    runner = InProcess()
    evaluate(pooled, cases, out, log=ignore, run=runner)
    assert runner.drawn == ["dog-s0-smalti-fast", "dog-s0-match-fast"] and runner.references == 0
    assert all(path.stat().st_mtime_ns == stamp for path, stamp in before.items())
    rows = {(row["pair"], row["method"]): row for row in read_rows(out)}
    assert len(rows) == 4
    assert rows["dog", "smalti"]["seconds"] == ""  # of two runs nobody knows it
    assert float(rows["dog", "match"]["seconds"]) > 0

    again = InProcess()
    table = (out / "results.csv").read_bytes()
    evaluate(pooled, cases, out, log=ignore, run=again)
    assert again.drawn == [] and (out / "results.csv").read_bytes() == table


@pytest.mark.slow
def test_weights_that_come_later_fill_their_columns(
    protocol, cases, tmp_path: Path, lpips_weights: Path, no_plots
):
    out = tmp_path / "out"
    evaluate(protocol, cases[:1], out, log=ignore, run=InProcess())
    (old,), runner = read_rows(out), InProcess()
    evaluate(protocol, cases[:1], out, lpips=lpips_weights, log=ignore, run=runner)
    (new,) = read_rows(out)
    assert runner.drawn == []
    changed = {name for name in old if old[name] != new[name]}
    assert changed == {"lpips_32", "lpips_64", "lpips_128", "lpips_256"}
    assert "`--lpips FILE`" not in (out / "report.md").read_text()


@pytest.mark.slow
def test_every_variant_of_the_ablation_draws_something_else(
    protocol, tmp_path: Path, lpips_weights: Path, no_plots
):
    cases = all_cases(PAIRS[:1], [0], table_rows(["smalti"], ["paper"], list(ABLATION)))
    evaluate(protocol, cases, tmp_path, lpips=lpips_weights, log=ignore, run=InProcess())
    psnr = {row["variant"]: row["psnr_256"] for row in read_rows(tmp_path)}
    assert len(psnr) == len(set(psnr.values())) == 1 + len(ABLATION)


def test_what_lacks_weights_is_left_out_and_says_what_to_do(protocol, tmp_path: Path):
    rows = [*table_rows(["color-adapter", "adain"], ["fast"]),
            *table_rows([], [], [LPIPS_GUIDED])]  # fmt: skip
    mosaics, skipped = run.plan_all(protocol, all_cases(PAIRS[:1], [0], rows), tmp_path, None)
    assert [mosaic.case.row.label for mosaic in mosaics] == ["adain, fast", "smalti, paper"]
    remedies = {label: row.remedy for label, row in skipped.items()}
    assert "base.color_adapter=" in remedies.pop("color-adapter, fast")
    assert "--lpips" in remedies.pop(f"smalti, paper, {LPIPS_GUIDED}") and not remedies


def test_the_report_says_what_was_left_out(protocol, tmp_path: Path, no_plots):
    cases = all_cases(PAIRS[:1], [0], table_rows(["color-adapter", "adain"], ["fast"]))
    said: list[str] = []
    evaluate(protocol, cases, tmp_path, log=said.append, run=InProcess())
    text = (tmp_path / "report.md").read_text()
    assert "color-adapter, fast" in said[0] and "color-adapter, fast" in text
    assert "| adain, fast |" in text and "| color-adapter, fast |" not in text


def test_without_matplotlib_it_says_what_to_install(protocol, cases, tmp_path: Path, monkeypatch):
    for name in ("matplotlib", "matplotlib.figure"):
        monkeypatch.setitem(sys.modules, name, None)
    monkeypatch.setattr(run, "update_evolution", create_autospec(run.update_evolution))
    said: list[str] = []
    evaluate(protocol, cases[:1], tmp_path, log=said.append, run=InProcess())
    assert any("pip install" in line and "matplotlib" in line for line in said)
    text = (tmp_path / "report.md").read_text()
    assert "sheet-seed0.png" in text and "ssim.png" not in text


def test_the_outline_draws_and_writes_nothing(pooled, cases, tmp_path: Path):
    out = tmp_path / "out"
    facts = outline(pooled, cases, out)
    assert [word for word in facts["mosaics"].split() if word[0].isdigit()] == ["4,", "4"]
    assert facts["weights missing"].startswith("LPIPS, ") and not out.exists()


def test_bad_input_stops_before_anything_is_drawn(pooled, cases, tmp_path: Path, tiny_sd: Path):
    out, runner, bad = tmp_path / "out", InProcess(), tmp_path / "bad"

    def token_told(token: str, protocol: Protocol, lpips: Path | None = None) -> bool:
        with pytest.raises(InputError) as raised:
            evaluate(protocol, cases, out, lpips=lpips, log=ignore, run=runner)
        return token in str(raised.value)

    assert token_told("--lpips", pooled, tmp_path / "no")
    for content in (b"half a file", save({})):
        bad.write_bytes(content)
        assert token_told("--lpips", pooled, bad)
    assert token_told("--grid", Protocol(str(tiny_sd), "2by2", pooled.overrides))
    assert token_told("1", Protocol(str(tiny_sd), "2x2", ("mosaic.pool_size=1",)))  # of "match"
    assert token_told("mosaic.blend", Protocol(str(tiny_sd), "2x2", ("mosaic.blend=0.1",)))
    assert not out.exists() and runner.drawn == [] and runner.references == 0
