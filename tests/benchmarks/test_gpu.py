"""The GPU script's own doing: pieces are done once, a report holds what they found."""

import json
from pathlib import Path
from unittest.mock import create_autospec

import gpu
import pytest
from PIL import Image
from typer.testing import CliRunner

from smalti.models.footprint import GIB, known_footprints
from smalti.train import trainer


@pytest.fixture
def concept(tmp_path: Path) -> Path:
    folder = tmp_path / "concepts" / "pim"
    folder.mkdir(parents=True)
    (folder / "concept.toml").write_text('class_word = "dog"\n')
    for number in range(3):
        Image.new("RGB", (64, 64)).save(folder / f"{number}.png")
    return folder


@pytest.fixture
def plan(concept: Path, tmp_path: Path) -> gpu.Plan:
    return gpu.plan_of("sd15", concept, tmp_path / "out", quick=True)


def test_a_dry_run_does_nothing_and_says_what_it_would(concept, tmp_path, monkeypatch):
    monkeypatch.setattr(gpu, "run_in_subprocess", lambda *_: pytest.fail("it did something"))
    words = ["--dry-run", "--base", "sd-turbo", "--concepts-dir", str(concept.parent)]
    told = CliRunner().invoke(gpu.app, [*words, "--out", str(tmp_path / "none")])
    assert told.exit_code == 0, told.output
    assert all(name in told.stdout for name in gpu.PIECES)
    assert "$1M" in told.stderr and not (tmp_path / "none").exists()


def test_what_is_predicted_is_what_was_counted(plan):
    """Of one sample, one tile, at the base's own resolution."""
    known, found = known_footprints()["sd15"], gpu.predicted(plan)
    assert found["train"] == known.training_bytes(512, 1)
    assert found["exact"] == known.drawing_bytes(512, 1, gradients=True)
    assert 2 * GIB < found["checkpointed"] < found["train"]


def test_an_interrupted_run_goes_on_with_the_piece_that_is_missing(plan, monkeypatch):
    done: list[str] = []

    def run(piece, given):
        assert given == plan
        if piece.__name__ == "draw" and "draw" not in done:
            done.append("draw")
            raise KeyboardInterrupt
        done.append(piece.__name__)
        return {"card": "none", "seconds": len(done)}

    monkeypatch.setattr(gpu, "run_in_subprocess", run)
    with pytest.raises(KeyboardInterrupt):
        gpu.measured(plan)
    before = list(done)
    found = gpu.measured(plan)
    assert done[len(before):] == ["draw", "exact"]
    assert list(found) == list(gpu.PIECES) and gpu.measured(plan) == found
    for name in ("mosaic/tiles/r00_c00.png", "mosaic/mosaic.png", "mosaic/reference.png",
                 "exact/mosaic.png"):  # fmt: skip
        (plan.out / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (64, 64)).save(plan.out / name)
    folder = gpu.report(plan, found)
    assert json.loads((folder / "gpu.json").read_text())["found"] == found
    page = (folder / "gpu.md").read_text()
    assert all(f"| {name} |" in page for name in gpu.PIECES)
    assert f"{gpu.predicted(plan)['train'] / GIB:.2f}" in page
    assert Image.open(folder / "sheet.png").width > 3 * 512


def test_a_concepts_earlier_training_is_not_copied(plan, monkeypatch):
    (plan.concept / "edlora.safetensors").write_bytes(b"old")
    (plan.concept / ".training").mkdir()
    stopped = create_autospec(trainer.train_concept, side_effect=KeyboardInterrupt)
    monkeypatch.setattr(trainer, "train_concept", stopped)
    with pytest.raises(KeyboardInterrupt):
        gpu.train(plan)
    left = {"0.png", "1.png", "2.png", "concept.toml"}
    assert {path.name for path in plan.copy.iterdir()} == left


@pytest.mark.slow
def test_every_piece_works_on_a_tiny_base(concept, tiny_sd, tmp_path, monkeypatch):
    """Here in one process, so that peaks mean nothing."""
    monkeypatch.setattr(gpu, "run_in_subprocess", lambda piece, plan: piece(plan))
    plan = gpu.plan_of(str(tiny_sd), concept, tmp_path / "out", quick=True)
    found = gpu.measured(plan)
    assert found["fetch"]["gigabytes"] >= 0 and found["fetch"]["card"]
    assert 0 < found["precision"]["unet_bfloat16"] < 0.1 > found["precision"]["vae_bfloat16"] > 0
    assert found["train"]["adapter"] != found["checkpointed"]["adapter"]
    assert found["draw"]["psnr_64"] > 0 and 0 < found["draw"]["pull"] < 1
    assert found["exact"]["seconds"] > 0
    folder = gpu.report(plan, found)
    assert sum(path.stat().st_size for path in folder.iterdir()) < 16 * 2**20
