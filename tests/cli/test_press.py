"""The commands of the press as a user types them."""

from pathlib import Path

import pytest
from drawn import edit_record
from made_mosaics import made_mosaic
from PIL import Image
from typer.testing import CliRunner

from smalti.cli import gen, main
from smalti.configs.presets import preset_names

pytest.importorskip("pyvips")


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return made_mosaic(tmp_path_factory.mktemp("cli") / "mine", 2, 3, 32)


def typed(*words: object, app=main.app):
    return CliRunner().invoke(app, [str(word) for word in words], catch_exceptions=False)


def test_products_are_listed():
    done = typed("products")
    assert done.exit_code == 0
    assert set(preset_names("product")) <= set(done.stdout.split())


def test_a_print_lies_in_the_mosaics_folder_and_says_what_to_expect(folder):
    done = typed("print", folder, "--size", "60x40mm", "--dpi", "100", "--bleed", "0")
    assert done.exit_code == 0
    path = Path(done.stdout.strip())
    assert path == folder / "print" / "60x40mm.tif"
    with Image.open(path) as image:
        assert image.size == (236, 157)
    assert "2 x 3 tiles" in done.stderr


def test_options_win_over_the_product(folder, tmp_path):
    done = typed(
        "print", folder, "--product", "card-10x15", "--out", tmp_path / "a.png", "--dpi", "72",
        "--profile", "adobe-rgb",
    )  # fmt: skip
    with Image.open(done.stdout.strip()) as image:
        assert image.format == "PNG" and image.width > image.height, "turned as the mosaic is"
        assert b"Adobe RGB" in image.info["icc_profile"]


def test_a_dry_run_writes_nothing_and_names_a_grid_that_would_do(folder, tmp_path):
    out = tmp_path / "out"
    done = typed("print", folder, "--size", "60x40cm", "--dry-run", "--out", out)
    assert done.exit_code == 0 and not out.exists()
    assert "--grid 30x45" in done.stderr


@pytest.mark.parametrize(
    ("words", "token"),
    [
        (["--size", "60x40"], "60x40"),
        (["--product", "postr-30x40"], "poster-30x40"),
        (["--size", "6x4cm", "--product", "a4"], "--product"),
        ([], "--size"),
        (["--size", "6x4cm", "--profile", "none.icc"], "none.icc"),
        (["--size", "6x4cm", "--format", "gif"], "tiff"),
        (["--size", "6x4cm", "--panels", "2"], "panels"),
        (["--size", "6x4cm", "--sign", "a.pem", "b.pem"], "a.pem"),
    ],
)
def test_bad_input_is_one_line(folder, tmp_path, words, token):
    done = typed("print", folder, "--out", tmp_path / "out", *words)
    assert done.exit_code == 2 and done.stdout == ""
    last = done.stderr.strip().splitlines()[-1]
    assert last.startswith("Error: ") and token in last
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("command", ["print", "proof", "view", "clip"])
def test_an_unfinished_mosaic_is_refused_by_every_command(tmp_path, command):
    half = made_mosaic(tmp_path / "half", 1, 1)
    edit_record(half, state="unfinished")
    words = ["--size", "6x4cm"] if command == "print" else []
    done = typed(command, half, *words)
    assert done.exit_code == 2 and str(half) in done.stderr


def test_proof_view_and_verify(folder, tmp_path):
    done = typed("proof", folder, "--size", "60x40cm", "--word", "PROOF")
    assert done.stdout.split() == [str(folder / "proof.jpg"), str(folder / "proof.pdf")]
    assert typed("proof", folder, folder).exit_code == 2
    assert typed("view", folder).stdout.strip() == str(folder / "view" / "index.html")
    (folder / "view.zip").write_bytes(b"mine")
    assert typed("view", folder, "--zip").exit_code == 2
    (folder / "view.zip").unlink()
    packed = typed("view", folder, "--zip").stdout.split()
    assert packed == [str(folder / "view" / "index.html"), str(folder / "view.zip")]
    assert typed("clip", folder, "--tile", "2,0").exit_code == 2
    assert typed("clip", folder, "--tile", "x").exit_code == 2
    told = typed("verify", folder / "proof.jpg")
    assert told.exit_code == 0 and "trainedAlgorithmicMedia" in told.stdout
    Image.new("RGB", (8, 8)).save(tmp_path / "plain.png")
    assert typed("verify", tmp_path / "plain.png").exit_code == 1


# --- mosaic-gen --print -----------------------------------------------------------------------

GEN = ["--tile-prompt", "a cat", "--ref-prompt", "a house", "--dry-run"]


def test_a_print_chooses_the_grid_and_the_plan_says_how():
    done = typed(*GEN, "--print", "60x40cm", app=gen.app)
    assert done.exit_code == 0
    assert "30 x 45 = 1350 tiles" in done.stdout and "13.3 mm" in done.stdout


def test_grid_and_print_contradict():
    for words in (["--grid", "2x2"], ["--level", "3"], ["--set", "mosaic.grid=2x2"]):
        done = typed(*GEN, "--print", "a4", *words, app=gen.app)
        assert done.exit_code == 2 and "--print" in done.stderr
    assert typed(*GEN, "--print", "nothing", app=gen.app).exit_code == 2
    assert typed(*GEN, "--crop", "left", app=gen.app).exit_code == 2
