"""`mosaic export` and `mosaic concept` as a user types them."""

from pathlib import Path

import pytest
from exchanging import write_trained
from PIL import Image
from typer.testing import CliRunner

from smalti.cli.main import app

SAMPLE = Path(__file__).parents[2] / "concepts" / "pim"


@pytest.fixture
def adapter(tiny_base, tmp_path) -> Path:
    path = tmp_path / "concepts" / "sylvie" / "edlora.safetensors"
    write_trained(tiny_base, path)
    return path


def run(*words: object):
    return CliRunner().invoke(app, [str(word) for word in words])


def test_export_writes_beside_the_concept_and_never_over_a_file(adapter):
    folder = adapter.parents[1]
    command = ("export", "sylvie", "--concepts-dir", folder, "--to", "kohya")
    made = run(*command)
    assert made.exit_code == 0, made.output
    target = adapter.parent / "export" / "sylvie-kohya.safetensors"
    assert target.is_file() and str(target) in made.output
    target.write_bytes(b"mine")
    refused = run(*command)
    assert refused.exit_code == 2 and "--replace" in refused.output
    assert target.read_bytes() == b"mine"
    assert run(*command, "--replace").exit_code == 0 and target.stat().st_size > 1000
    out = adapter.parent / "mean.safetensors"
    mean = run("export", adapter, "--to", "embedding", "--steps", 0, "--out", out)
    assert mean.exit_code == 0 and out.is_file()


def test_export_refuses_other_formats_and_files(adapter):
    assert run("export", adapter, "--to", "pickle").exit_code == 2
    target = adapter.with_name("other.safetensors")
    assert run("export", adapter, "--to", "diffusers", "--out", target).exit_code == 0
    assert run("export", target, "--to", "kohya").exit_code == 2
    for words in ([], ["--replace"]):
        folder = run("export", adapter, "--to", "kohya", "--out", adapter.parent, *words)
        assert folder.exit_code == 2 and "--out" in folder.output and adapter.is_file()


def test_check_says_by_its_exit_code_whether_something_is_bad(tmp_path):
    folder = tmp_path / "pim"
    folder.mkdir()
    for path in sorted(SAMPLE.glob("pim_0[1-4]*")):
        (folder / path.name).write_bytes(path.read_bytes())
    good = run("concept", "check", folder)
    assert good.exit_code == 0 and "pim_01.jpg" in good.output, good.output
    assert (folder / "check-sheet.png").is_file()
    Image.new("RGB", (256, 256), "gray").save(folder / "plain.png")
    bad = run("concept", "check", folder, "--out", tmp_path / "sheet.png")
    assert bad.exit_code == 1 and (tmp_path / "sheet.png").is_file()


def test_masks_and_captions_say_what_they_lack(tmp_path):
    folder = tmp_path / "pim"
    folder.mkdir()
    Image.new("RGB", (256, 256), "gray").save(folder / "a.png")
    assert run("concept", "masks", folder).exit_code == 2
    assert run("concept", "captions", folder).exit_code == 2
    (folder / "concept.toml").write_text('class_word = "mug"\n')
    lacking = run("concept", "captions", folder)
    assert lacking.exit_code == 2 and "hf download" in lacking.output
