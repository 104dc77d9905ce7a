"""Both commands for real, on the tiny model: photos in, adapter, mosaic, one tile drawn anew."""

import json
import random
from pathlib import Path

import pytest
from PIL import Image
from typer.testing import CliRunner

from smalti.cli import gen, main, train


@pytest.fixture(scope="module")
def studio(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A working folder with one concept of four coloured pictures."""
    folder = tmp_path_factory.mktemp("studio")
    draw = random.Random(0)
    (folder / "concepts" / "mug").mkdir(parents=True)
    for number in range(4):
        color = tuple(draw.randrange(256) for _ in range(3))
        Image.new("RGB", (96, 80), color).save(folder / "concepts" / "mug" / f"{number}.png")
    (folder / "concepts" / "mug" / "concept.toml").write_text('class_word = "cat"\n')
    return folder


def invoke(app, *words: str) -> str:
    """Run a command inside this process; it must succeed."""
    result = CliRunner().invoke(app, words, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.stdout


@pytest.mark.slow
def test_from_photos_to_a_mosaic(studio: Path, tiny_sd: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(studio)
    base = ("--base", str(tiny_sd))
    quick = [f"--set=train.{text}" for text in ("validation_steps=1", "crops_per_image=1")]
    invoke(train.app, "mug", *base, "--steps", "2", "--batch-size", "1", *quick)
    assert Path("concepts/mug/edlora.safetensors").is_file()
    assert "tiny" in invoke(main.app, "concepts")

    draw = ("--tile-lora", "mug", "--ref-prompt", "a cat", "--level", "1", "--steps", "2", *base)
    assert "2 x 2 = 4 tiles" in invoke(gen.app, *draw, "--dry-run")
    assert not Path("mosaics").exists()
    result = CliRunner().invoke(gen.app, draw, catch_exceptions=False)
    assert result.stdout == "The mosaic: mosaics/mug-a-cat/mosaic.png\n"
    folder = Path("mosaics/mug-a-cat")
    record = json.loads((folder / "mosaic.json").read_text())
    assert f"PSNR {record['metrics']['psnr_64']:.1f} dB" in result.stderr
    assert f"guidance strength {record['guidance_strength']:g}" in result.stderr
    assert record["settings"]["base"]["source"] == str(tiny_sd)
    before = {path.name: path.read_bytes() for path in (folder / "tiles").iterdir()}

    invoke(gen.app, "--out", str(folder), "--retile", "0,1", "--seed", "7")
    after = {path.name: path.read_bytes() for path in (folder / "tiles").iterdir()}
    assert [name for name in sorted(after) if after[name] != before[name]] == ["r00_c01.png"]

    again = ("--config", str(folder / "mosaic.json"), "--out", "mosaics/again")
    invoke(gen.app, *again)
    copies = {path.name: path.read_bytes() for path in Path("mosaics/again/tiles").iterdir()}
    assert copies == before
