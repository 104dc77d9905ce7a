"""`mosaic eval` as a user types it."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from smalti.cli import main
from smalti.evaluate.drawing import draw_mosaic
from smalti.evaluate.processes import run_in_subprocess
from smalti.evaluate.run import evaluate


@pytest.fixture(autouse=True)
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def invoke(*words: str):
    return CliRunner().invoke(main.app, ["eval", *words], catch_exceptions=False)


@pytest.mark.parametrize(
    ("words", "shown"),
    [
        (["--methods", "smalty"], ['"smalty"', '"smalti"', "histogram"]),
        (["--pairs", "cat,dogs"], ['"dogs"', '"dog"', "hamburger"]),
        (["--presets", "quick"], ['"quick"', "draft"]),
        (["--peers", "metapixels"], ['"metapixels"', '"metapixel"']),
        (["--levels", "2,9"], ["--levels", "2,9"]),
        (["--seeds", "one"], ["--seeds", "0,1"]),
        (["--lpips", "no.safetensors"], ["no.safetensors", "--lpips"]),
        (["--base", "sd22"], ['"sd22"', "sd21"]),
        (["--grid", "0x4"], ["--grid"]),
        (["--set", "mosaic.method=match"], ["mosaic.method", "--methods"]),
        (["--set", "mosaic.stpes=3"], ["mosaic.steps"]),
        (["--methods", "smalti", "--set", "mosaic.blend=0.3"], ["mosaic.blend", "--methods"]),
    ],
)
def test_bad_input_is_told_in_a_line_or_two(words: list[str], shown: list[str], desk: Path):
    done = invoke(*words)
    assert (done.exit_code, done.stdout) == (2, "")
    assert done.stderr.startswith("Error: ") and done.stderr.count("\n") <= 2
    for word in shown:
        assert word in done.stderr
    assert list(desk.iterdir()) == []


def test_a_folder_that_holds_something_else(desk: Path):
    (desk / "mine").mkdir()
    (desk / "mine" / "letter.txt").touch()
    done = invoke("--out", "mine")
    assert done.exit_code == 2 and "--out" in done.stderr


def test_a_dry_run_says_what_would_be_done(desk: Path):
    done = invoke("--pairs", "cat,dog", "--methods", "smalti,match", "--ablation", "--dry-run")
    assert done.exit_code == 0
    for word in ("runs/eval/starter-8x8", "smalti, fast; match, fast; smalti, paper",
                 "28, of which 28", "LPIPS"):  # fmt: skip
        assert word in done.stdout
    assert list(desk.iterdir()) == []


def test_levels_and_the_papers_own_name_for_a_method(desk: Path):
    words = ["--pairs", "cat", "--seeds", "0", "--methods", "match-and-tone", "--levels", "1,2"]
    done = invoke(*words, "--dry-run")
    assert done.exit_code == 0 and list(desk.iterdir()) == []
    for word in ("match-and-tone, fast; match-and-tone, fast, level 1", "3, of which 3"):
        assert word in " ".join(done.stdout.split())


@pytest.mark.slow
def test_a_mosaic_drawn_in_a_process_of_its_own(tiny_sd: Path, desk: Path, monkeypatch):
    """Its reference and its predictions are drawn here: a fresh process imports everything anew."""

    def run_mosaics_alone(function, *arguments):
        own = function is draw_mosaic
        return run_in_subprocess(function, *arguments) if own else function(*arguments)

    monkeypatch.setitem(evaluate.__kwdefaults__, "run", run_mosaics_alone)
    words = ["--pairs", "cat", "--seeds", "3", "--methods", "smalti", "--grid", "1x2"]
    words += ["--base", str(tiny_sd), "--set", "mosaic.steps=2"]
    words += ["--set", "mosaic.reference_steps=2"]
    done = invoke(*words, "--out", "mine")
    assert done.exit_code == 0, done.output
    assert "mine/report.md" in done.stdout and done.stdout.count("\n") == 1
    assert "1/1  cat, seed 3, smalti, fast" in done.stderr
    header, row = Path("mine/results.csv").read_text().splitlines()
    cells = dict(zip(header.split(","), row.split(","), strict=True))
    assert 0.1 < float(cells["peak_gib"]) < 8 and float(cells["seconds"]) > 0
    assert cells["settings"] in next(Path("mine/mosaics").iterdir()).name
    other = invoke(*words, "--out", "mine", "--set", "mosaic.tint=0.1")
    assert other.exit_code == 2 and "mosaic.picture.tint" in other.stderr
