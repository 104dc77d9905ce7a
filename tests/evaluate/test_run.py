"""The whole evaluation on the tiny model: what it leaves, and that it goes on where it was."""

import sys
from pathlib import Path

import pytest
from evaluating import QUICK, Here, rows_of, silent
from PIL import Image
from safetensors.torch import save

from smalti.configs.errors import InputError
from smalti.evaluate.protocol import (
    ABLATION,
    LPIPS_GUIDED,
    PAIRS,
    Protocol,
    all_jobs,
    table_rows,
)
from smalti.evaluate.run import evaluate, outline
from smalti.generate.store import Store, read_record


@pytest.fixture
def protocol(tiny_sd: Path) -> Protocol:
    return Protocol(str(tiny_sd), "2x2", QUICK)


@pytest.fixture
def jobs():
    return all_jobs(PAIRS[:2], [0], table_rows(["smalti", "match"], ["fast"]))


def test_two_pairs_by_two_methods(protocol, jobs, tmp_path: Path):
    out, here, said = tmp_path / "out", Here(), []
    assert evaluate(protocol, jobs, out, tell=said.append, run=here) == out / "report.md"
    assert here.references == 2
    assert here.drawn == [f"{pair}-s0-{method}-fast" for pair in ("cat", "dog")
                          for method in ("smalti", "match")]  # fmt: skip
    assert [line[:3] for line in said if line[0].isdigit()] == ["1/4", "2/4", "3/4", "4/4"]
    rows = rows_of(out)
    assert [(row["pair"], row["method"]) for row in rows] == [
        ("cat", "smalti"), ("cat", "match"), ("dog", "smalti"), ("dog", "match"),
    ]  # fmt: skip
    assert {row["lpips_64"] for row in rows} == {row["clip"] for row in rows} == {"weights missing"}
    text = (out / "report.md").read_text()
    own = [float(row["psnr_64"]) for row in rows if row["method"] == "smalti"]
    assert f"| smalti, fast | {sum(own) / 2:.2f} |" in text
    assert "| weights missing |" in text and "`--lpips FILE`" in text
    assert "| smalti, fast, against |" in text
    for name in ("ssim.png", "tradeoff.png", "evolution.png", "sheet-seed0.png"):
        assert f"({name})" in text and (out / name).stat().st_size > 1000
    sheet = Image.open(out / "sheet-seed0.png")
    assert sheet.width > 2 * 320 and sheet.height > 3 * 320  # pairs; the reference and two methods


def test_how_a_tile_came_about_is_drawn_once_for_the_same_mosaics(protocol, tmp_path: Path):
    out, picture = tmp_path / "out", tmp_path / "out" / "evolution.png"
    both = all_jobs(PAIRS[:1], [0], table_rows(["smalti", "adain"], ["fast"]))
    evaluate(protocol, both, out, tell=silent, run=Here())
    stamp, height = picture.stat().st_mtime_ns, Image.open(picture).height
    evaluate(protocol, both, out, tell=silent, run=Here())
    assert picture.stat().st_mtime_ns == stamp
    evaluate(protocol, both[:1], out, tell=silent, run=Here())
    assert Image.open(picture).height < height  # one row less
    placed = all_jobs(PAIRS[:1], [0], table_rows(["match"], ["fast"]))
    evaluate(protocol, placed, out, tell=silent, run=Here())
    assert not picture.exists() and "evolution.png" not in (out / "report.md").read_text()


def test_all_rows_share_the_reference_and_its_noise(protocol, tmp_path: Path):
    """Alone, each preset would draw its reference with its own scheduler."""
    jobs = all_jobs(PAIRS[:1], [0], table_rows(["smalti"], ["fast", "paper"]))
    evaluate(protocol, jobs, tmp_path / "out", tell=silent, run=Here())
    pictures = [*tmp_path.glob("out/references/*.png"), *tmp_path.rglob("reference.png")]
    assert len(pictures) == 3
    pixels = {Image.open(path).tobytes() for path in pictures}
    assert len(pixels) == 1
    for folder in tmp_path.glob("out/mosaics/*"):
        record = read_record(folder) or {}
        # No photo: so tiles start from the noise that the reference was drawn from.
        assert record["settings"]["mosaic"]["ref"] == "" and record["state"] == "finished"


def test_an_interrupted_run_goes_on_and_draws_nothing_twice(
    protocol, jobs, tmp_path: Path, monkeypatch
):
    """Ctrl-C in the middle of the third mosaic; three of its four tiles are there by then."""
    out, saved = tmp_path / "out", []
    original = Store.save

    def interrupted(self, *arguments):
        if self.folder.name.startswith("dog"):
            saved.append(arguments[0])
            if len(saved) == 4:
                raise KeyboardInterrupt
        original(self, *arguments)

    monkeypatch.setattr(Store, "save", interrupted)
    with pytest.raises(KeyboardInterrupt):
        evaluate(protocol, jobs, out, tell=silent, run=Here())
    monkeypatch.undo()
    assert len(rows_of(out)) == 2 and not (out / "report.md").exists()
    before = {path: path.stat().st_mtime_ns for path in out.rglob("*_c*.png")}
    assert len([path for path in before if "dog-s0-smalti" in str(path)]) == 3

    here = Here()
    evaluate(protocol, jobs, out, tell=silent, run=here)
    assert here.drawn == ["dog-s0-smalti-fast", "dog-s0-match-fast"] and here.references == 0
    assert all(path.stat().st_mtime_ns == stamp for path, stamp in before.items())
    rows = {(row["pair"], row["method"]): row for row in rows_of(out)}
    assert len(rows) == 4
    assert rows["dog", "smalti"]["seconds"] == ""  # of two runs nobody knows it
    assert float(rows["dog", "match"]["seconds"]) > 0

    again = Here()
    table = (out / "results.csv").read_bytes()
    evaluate(protocol, jobs, out, tell=silent, run=again)
    assert again.drawn == [] and (out / "results.csv").read_bytes() == table


def test_weights_that_come_later_fill_their_columns(
    protocol, jobs, tmp_path: Path, lpips_weights: Path
):
    out = tmp_path / "out"
    evaluate(protocol, jobs[:2], out, tell=silent, run=Here())
    old, here = rows_of(out), Here()
    evaluate(protocol, jobs[:2], out, lpips=lpips_weights, tell=silent, run=here)
    new = rows_of(out)
    assert here.drawn == [] and len(new) == len(old) == 2
    for before, after in zip(old, new, strict=True):
        changed = {name for name in before if before[name] != after[name]}
        assert changed == {"lpips_32", "lpips_64", "lpips_128", "lpips_256"}
    text = (out / "report.md").read_text()
    assert "`--lpips FILE`" not in text


def test_the_ablation_leaves_out_what_lacks_weights(protocol, tmp_path: Path, lpips_weights: Path):
    rows = table_rows(["smalti"], ["paper"], list(ABLATION))
    jobs, said, here = all_jobs(PAIRS[:1], [0], rows), [], Here()
    evaluate(protocol, jobs, tmp_path / "out", tell=said.append, run=here)
    assert len(here.drawn) == 5
    assert f"Left out: smalti, paper, {LPIPS_GUIDED}" in said[0] and "--lpips" in said[0]
    text = (tmp_path / "out" / "report.md").read_text()
    assert f"Left out, weights missing: smalti, paper, {LPIPS_GUIDED}." in text
    assert "| smalti, paper, without colour alignment |" in text
    more = Here()
    evaluate(protocol, jobs, tmp_path / "out", lpips=lpips_weights, tell=silent, run=more)
    assert len(more.drawn) == 1
    assert f"| smalti, paper, {LPIPS_GUIDED} |" in (tmp_path / "out" / "report.md").read_text()
    psnr = {row["variant"]: row["psnr_256"] for row in rows_of(tmp_path / "out")}
    assert len(psnr) == len(set(psnr.values())) == 6  # every variant draws something else


def test_a_base_without_a_colour_adapter_is_compared_by_the_others(protocol, tmp_path: Path):
    rows = table_rows(["color-adapter", "adain"], ["fast"])
    jobs, said, here = all_jobs(PAIRS[:1], [0], rows), [], Here()
    evaluate(protocol, jobs, tmp_path / "out", tell=said.append, run=here)
    assert len(here.drawn) == 1 and "base.color_adapter=FOLDER" in said[0]
    text = (tmp_path / "out" / "report.md").read_text()
    assert "Left out, weights missing: color-adapter, fast." in text and "| adain, fast |" in text


def test_without_matplotlib_it_says_what_to_install(protocol, jobs, tmp_path: Path, monkeypatch):
    for name in ("matplotlib", "matplotlib.figure"):
        monkeypatch.setitem(sys.modules, name, None)
    said: list[str] = []
    evaluate(protocol, jobs[:1], tmp_path / "out", tell=said.append, run=Here())
    assert any("pip install" in line and "matplotlib" in line for line in said)
    text = (tmp_path / "out" / "report.md").read_text()
    assert "sheet-seed0.png" in text and "ssim.png" not in text


def test_the_outline_draws_and_writes_nothing(protocol, jobs, tmp_path: Path):
    out = tmp_path / "out"
    facts = outline(protocol, jobs, out)
    assert facts["mosaics"] == "4, of which 4 are to be drawn" and not out.exists()
    assert facts["weights missing"] == "LPIPS, CLIP and IQA, BLIP, HPSv2, ImageReward"
    evaluate(protocol, jobs[:1], out, tell=silent, run=Here())
    assert outline(protocol, jobs, out)["mosaics"] == "4, of which 3 are to be drawn"


def test_bad_input_stops_before_anything_is_drawn(protocol, jobs, tmp_path: Path, tiny_sd: Path):
    out, here = tmp_path / "out", Here()
    with pytest.raises(InputError, match="--lpips"):
        evaluate(protocol, jobs, out, lpips=tmp_path / "no", tell=silent, run=here)
    for content, told in ((b"half a file", "no safetensors"), (save({}), "no LPIPS weights")):
        (tmp_path / "bad").write_bytes(content)
        with pytest.raises(InputError, match=f"{told}.*--lpips"):
            evaluate(protocol, jobs, out, lpips=tmp_path / "bad", tell=silent, run=here)
    with pytest.raises(InputError, match="--grid"):
        evaluate(Protocol(str(tiny_sd), "2by2"), jobs, out, tell=silent, run=here)
    few = Protocol(str(tiny_sd), "2x2", ("mosaic.pool_size=1",))  # "match" needs more
    with pytest.raises(InputError, match="pool of 1 is too small"):
        evaluate(few, jobs, out, tell=silent, run=here)
    assert not out.exists() and here.drawn == [] and here.references == 0
