"""A whole training on a tiny model: what it leaves, how it goes on, how it fails."""

import errno
import json
import os
import shutil
import signal
from dataclasses import replace
from pathlib import Path
from unittest.mock import create_autospec

import pytest
import torch
from PIL import Image
from safetensors.torch import load_file
from training import IMAGES, QUICK, Killed, killed_after, make_concept, told_steps, with_train

from smalti.configs.errors import InputError, SmaltiError
from smalti.configs.progress import silent
from smalti.configs.settings import Settings
from smalti.configs.tables import read_tables
from smalti.models.adapter_file import read_metadata
from smalti.train import checkpoint, loop, prepare, step
from smalti.train.checkpoint import load_latest, save_state
from smalti.train.earlier import checkpoints, earlier_work
from smalti.train.identity import RANDOMNESS
from smalti.train.trainer import train_concept

pytestmark = pytest.mark.slow  # each test draws or trains on the tiny model

GRID = torch.zeros(3, 1, 3, 64, 64)


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory, tiny_settings) -> Path:
    """A concept whose training of four steps is whole; tests take copies."""
    folder = make_concept(tmp_path_factory.mktemp("finished") / "mug")
    train_concept(folder, Settings(base=tiny_settings, train=QUICK), progress=silent)
    return folder


@pytest.fixture
def trained(finished: Path, tmp_path: Path) -> Path:
    """A copy of the finished training."""
    return shutil.copytree(finished, tmp_path / "trained" / "mug")


@pytest.fixture
def undrawn(monkeypatch: pytest.MonkeyPatch) -> None:
    """No validation pictures, which take longer than the steps."""
    drawn = create_autospec(loop.draw_validation, return_value=GRID)
    monkeypatch.setattr(loop, "draw_validation", drawn)


def same(first: dict[str, torch.Tensor], second: dict[str, torch.Tensor]) -> bool:
    """Bit for bit."""
    return first.keys() == second.keys() and all(torch.equal(first[k], second[k]) for k in first)


def test_a_run_leaves_what_users_need(finished: Path):
    work = finished / ".training"
    grid = Image.open(finished / "validation.png")
    assert grid.height > 3 * 64 and grid.size == Image.open(work / "validation/step_0004.png").size
    assert len(grid.convert("L").resize((8, 24)).getcolors()) > 8  # pictures, not an empty sheet
    lines = [json.loads(line) for line in (work / "log.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == [1, 2, 3, 4]
    assert lines[0]["lr_factor"] == 1 and lines[3]["lr_factor"] == pytest.approx(0.25)
    assert list((work / "tensorboard").iterdir())
    assert read_tables(work / "settings.toml")["train"]["class_word"] == "mug"
    assert [path.name for path in checkpoints(work)] == ["step_000002", "step_000004"]


def test_the_file_says_what_it_is(finished: Path):
    facts = read_metadata(finished / "edlora.safetensors")
    assert (facts["name"], facts["class_word"], facts["steps"]) == ("mug", "mug", 4)
    assert facts["training"]["batch_size"] == 2 and facts["images"] == IMAGES


def test_progress_counts_images_and_steps_and_nothing_else_is_said(
    folder, settings, undrawn, capsys
):
    seen = []
    train_concept(folder, with_train(settings, steps=2), progress=lambda *t: seen.append(t[:2]))
    assert seen == [*((k, IMAGES) for k in range(1, 9)), *((k, 2) for k in range(3))]
    assert capsys.readouterr() == ("", "")


@pytest.mark.slow
def test_n_steps_kill_and_m_more_equal_n_plus_m(folder, finished, settings, undrawn):
    """Bit for bit, although the kill loses a step since the last checkpoint."""
    with pytest.raises(Killed):
        train_concept(folder, settings, progress=killed_after(3))
    half = ["", ".training", ".training/checkpoints", ".training/validation"]
    for place in half:  # above Linux's largest process number
        (folder / place / ".half.4194305.tmp").mkdir(parents=True)
    torch.manual_seed(12345)  # whatever the process did in between
    resumed = load_file(train_concept(folder, settings, progress=silent))
    assert same(load_file(finished / "edlora.safetensors"), resumed)
    assert not list(folder.rglob("*.tmp"))
    works = [where / ".training" for where in (finished, folder)]
    logs = [(work / "log.jsonl").read_text().splitlines() for work in works]
    losses = [[json.loads(line)["loss"] for line in log] for log in logs]
    assert losses[0] == losses[1] and len(losses[0]) == 4
    states = [load_latest(work).optimizer["state"] for work in works]
    assert torch.equal(states[0][0]["exp_avg_sq"], states[1][0]["exp_avg_sq"])


@pytest.mark.slow
def test_auto_goes_on_as_it_began_on_another_processor(
    folder, settings, tmp_path, monkeypatch, undrawn
):
    auto, here = with_train(settings, mixed_precision="auto"), prepare.resolve_precision

    def on_processor(precision: str) -> None:
        def resolve(asked: str, device: torch.device | str) -> str:
            return precision if asked == "auto" else here(asked, device)

        monkeypatch.setattr(prepare, "resolve_precision", resolve)

    on_processor("bf16")
    twin = shutil.copytree(folder, tmp_path / "twin" / "mug")
    whole = load_file(train_concept(twin, auto, progress=silent))
    with pytest.raises(Killed):
        train_concept(folder, auto, progress=killed_after(3))
    on_processor("no")
    with pytest.raises(InputError) as caught:
        train_concept(folder, settings, progress=silent)
    assert "mixed_precision" in str(caught.value)
    out = train_concept(folder, auto, progress=silent)
    assert same(whole, load_file(out))
    assert read_metadata(out)["training"]["mixed_precision"] == "bf16"
    assert earlier_work(folder / ".training").identity["mixed_precision"] == "bf16"


@pytest.mark.slow
def test_ctrl_c_saves_says_so_and_the_same_command_goes_on(
    folder, settings, monkeypatch, capsys, undrawn
):
    def step_and_interrupt(run):
        os.kill(os.getpid(), signal.SIGINT)
        return step.train_step(run)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(loop, "train_step", step_and_interrupt)
        train_concept(folder, settings)
    last = capsys.readouterr().err.splitlines()[-1]
    assert "step 1" in last and str(folder / ".training") in last
    assert load_latest(folder / ".training").step == 1
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    steps: list[int] = []
    train_concept(folder, settings, progress=told_steps(steps))
    assert steps == [2, 3, 4]


@pytest.mark.slow
def test_finished_training_returns_at_once_extends_and_restarts(
    trained, settings, capsys, monkeypatch, undrawn
):
    out = trained / "edlora.safetensors"
    before, first = out.read_bytes(), load_file(out)
    with monkeypatch.context() as patch:
        patch.setattr(prepare, "load_base", None)  # nothing heavy may happen
        assert train_concept(trained, settings) == out
    said = capsys.readouterr().err
    assert "4 steps" in said and "--restart" in said and "train.steps=8" in said
    steps: list[int] = []
    train_concept(trained, with_train(settings, steps=6), progress=told_steps(steps, 6))
    assert steps == [5, 6] and out.read_bytes() != before
    steps.clear()
    gone: list[bool] = []
    train_concept(
        trained,
        settings,
        progress=told_steps(steps),
        restart=True,
        restarted=lambda: gone.append(not checkpoints(trained / ".training")),
    )
    assert steps == [1, 2, 3, 4] and gone == [True]
    assert same(first, load_file(out))


def test_a_restart_that_fails_has_deleted_nothing(trained, settings, monkeypatch):
    before = (trained / "edlora.safetensors").read_bytes()
    offline = create_autospec(prepare.load_base, side_effect=InputError("no network"))
    monkeypatch.setattr(prepare, "load_base", offline)
    never = create_autospec(lambda: None)
    with pytest.raises(InputError):
        train_concept(trained, settings, progress=silent, restart=True, restarted=never)
    never.assert_not_called()
    out = train_concept(trained, settings, progress=silent)  # finished, so that no base is needed
    assert out.read_bytes() == before


def test_what_was_begun_with_other_things_is_refused_by_name(trained, settings, tmp_path):
    from tiny import make_tiny_sd

    other = replace(settings.base, source=str(make_tiny_sd(tmp_path / "other", seed=1)))
    for name, changed in {
        "rank": with_train(settings, rank=8),
        "base": replace(settings, base=other),
    }.items():
        with pytest.raises(InputError) as caught:
            train_concept(trained, changed, progress=silent)
        assert name in str(caught.value) and "--restart" in str(caught.value)
    longer = with_train(replace(settings, base=other), steps=6)  # compared once it is loaded
    with pytest.raises(InputError) as caught:
        train_concept(trained, longer, progress=silent)
    assert "base" in str(caught.value)
    (trained / "p0.txt").write_text("a blue <concept>")
    with pytest.raises(InputError) as caught:
        train_concept(trained, settings, progress=silent)
    assert "images" in str(caught.value)


def test_a_run_of_an_earlier_smalti_keeps_its_adapter(trained, settings):
    for path in checkpoints(trained / ".training"):
        facts = json.loads((path / "state.json").read_text())
        assert facts["identity"].pop("randomness") == RANDOMNESS
        (path / "state.json").write_text(json.dumps(facts))
    before = (trained / "edlora.safetensors").read_bytes()
    with pytest.raises(InputError) as caught:
        train_concept(trained, settings, progress=silent)
    assert "--restart" in str(caught.value)
    assert (trained / "edlora.safetensors").read_bytes() == before


@pytest.mark.parametrize("damage", [Path.unlink, lambda out: out.write_bytes(b"cut short")])
def test_a_lost_adapter_is_written_again_from_the_last_checkpoint(
    trained, finished, settings, undrawn, damage
):
    out, before = trained / "edlora.safetensors", load_file(finished / "edlora.safetensors")
    damage(out)
    steps: list[int] = []
    train_concept(trained, settings, progress=told_steps(steps))
    assert steps == [] and same(before, load_file(out))


def test_a_damaged_checkpoint_costs_steps_not_the_run(trained, settings, undrawn):
    out = trained / "edlora.safetensors"
    before = load_file(out)
    out.unlink()
    (checkpoints(trained / ".training")[-1] / "adapter.safetensors").write_bytes(b"")
    steps: list[int] = []
    train_concept(trained, settings, progress=told_steps(steps))
    assert steps == [3, 4] and same(before, load_file(out))


def test_plain_words_train_too(folder, settings, undrawn):
    plain = with_train(
        settings, method="textual-inversion", num_vectors=2, mixed_precision="bf16", steps=2
    )
    tensors = load_file(train_concept(folder, plain, progress=silent))
    assert all(t.dtype == torch.float32 and torch.isfinite(t).all() for t in tensors.values())
    assert [len(word) for word in tensors.values()] == [1, 1]  # one vector for all layers


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_fp16_without_a_gpu_is_refused_before_any_work(folder, settings):
    with pytest.raises(InputError) as caught:
        train_concept(folder, with_train(settings, mixed_precision="fp16"), progress=silent)
    assert "fp16" in str(caught.value) and "bf16" in str(caught.value)


def test_a_full_disk_is_reported_and_the_last_checkpoint_stays(
    folder, settings, monkeypatch, undrawn
):
    original = checkpoint.save_file

    def full(tensors, path):
        if "step_000004" in str(path):
            raise OSError(errno.ENOSPC, "No space left on device")
        original(tensors, path)

    monkeypatch.setattr(checkpoint, "save_file", full)
    with pytest.raises(SmaltiError) as caught:
        train_concept(folder, settings, progress=silent)
    assert caught.value.exit_code == 1 and "disk" in str(caught.value)
    assert [path.name for path in checkpoints(folder / ".training")] == ["step_000002"]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="Linux only")
def test_a_disk_that_fills_up_under_torchs_own_file_is_recognised():
    with pytest.raises(OSError) as caught:
        save_state({"step": 1, "weights": torch.ones(5)}, Path("/dev/full"))
    assert caught.value.errno == errno.ENOSPC


def test_an_unwritable_folder_is_refused_before_any_work(folder, settings, monkeypatch):
    def refuse(self, *args, **options):
        raise PermissionError(errno.EACCES, "Permission denied", str(self))

    monkeypatch.setattr(Path, "mkdir", refuse)
    monkeypatch.setattr(prepare, "load_base", None)
    with pytest.raises(InputError) as caught:
        train_concept(folder, settings, progress=silent)
    assert ".training" in str(caught.value)
