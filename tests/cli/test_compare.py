"""`mosaic compare` as a user types it; trainings and judging are replaced by recorders."""

from pathlib import Path

import pytest
from PIL import Image
from typer.testing import CliRunner

from smalti.cli import boundary, compare, main
from smalti.configs.errors import SmaltiError
from smalti.train import trainer


@pytest.fixture
def trainings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, int, bool]]:
    """Method, seed and whether it began anew, of each training of the concept mug."""
    folder = tmp_path / "concepts/mug"
    folder.mkdir(parents=True)
    for number in range(3):
        Image.new("RGB", (64, 64), (number, 0, 0)).save(folder / f"{number}.png")
    (folder / "concept.toml").write_text('class_word = "cup"\n')
    done: list[tuple[str, int, bool]] = []

    def train_concept(folder, settings, *, into, judge, restart, restarted):
        done.append((settings.train.method, settings.train.seed, restart))
        work = into / ".training"
        (work / "checkpoints/step_000001").mkdir(parents=True, exist_ok=True)
        (work / "log.jsonl").write_text('{"seconds": 1}\n')
        if restart:
            restarted()
        return into / "edlora.safetensors"

    monkeypatch.setattr(trainer, "train_concept", train_concept)
    monkeypatch.setattr(compare, "judge_all", lambda *_: None)
    monkeypatch.setattr(compare, "show_comparison", lambda *_: None)
    monkeypatch.setattr(boundary, "_forgotten", set())
    monkeypatch.chdir(tmp_path)
    return done


def typed(*words: str):
    return CliRunner().invoke(main.app, ["compare", "mug", "--methods", "edlora,lora", *words])


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (["--ref", "nowhere.jpg"], "nowhere.jpg"),
        (["--grid", "0x3"], "grid"),
        (["--set", "train.seed=7"], "--first-seed"),
        (["--set", "train.method=lora"], "--methods"),
        (["--set", "train.lora_variant=no"], "lora_variant"),
    ],
)
def test_what_cannot_be_compared_is_refused_before_any_training(trainings, words, named):
    done = typed(*words)
    assert (done.exit_code, trainings) == (2, [])
    assert named in done.output and len(done.output.strip().splitlines()) <= 2


def test_a_table_holds_mosaics_of_one_reference_and_one_grid(trainings):
    assert typed("--grid", "2x3").exit_code == 0
    for words, named in (
        (["--grid", "3x3"], "3x3"),
        (["--ref", "concepts/mug/1.png"], "reference"),
    ):
        done = typed("--first-seed", "1", *(["--grid", "2x3"] if "--ref" in words else []), *words)
        assert done.exit_code == 2 and named in done.output and "--out" in done.output
    assert len(trainings) == 2
    assert typed("--first-seed", "1", "--grid", "2x3").exit_code == 0
    assert typed("--grid", "3x3", "--out", "other").exit_code == 0
    assert len(trainings) == 6


def test_seeds_and_methods_are_trained_each_once(trainings):
    assert typed("--seeds", "2", "--first-seed", "3").exit_code == 0
    assert trainings == [(m, s, False) for s in (3, 4) for m in ("edlora", "lora")]


def test_what_is_trained_anew_is_not_lost_to_a_stop(trainings, monkeypatch):
    """After the first has begun, the command that goes on has no --restart any more."""
    assert typed().exit_code == 0
    later = Path("runs/compare/mug/lora-seed0/.training/checkpoints/step_000001")
    assert later.is_dir()
    seen = []

    def judge_all(*_):
        seen.append(later.exists())
        raise SmaltiError("the machine is tired")

    monkeypatch.setattr(compare, "judge_all", judge_all)
    assert typed("--restart").exit_code == 1
    assert trainings[2:] == [("edlora", 0, True)] and seen == [False]
    assert "--restart" in boundary._forgotten
