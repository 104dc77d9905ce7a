"""What a dry run tells, from what lies in the folder; nothing is loaded or changed."""

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from training import with_train

from smalti.configs.errors import InputError
from smalti.configs.settings import Settings
from smalti.train import dry_run as module
from smalti.train.concept import load_concept
from smalti.train.dry_run import dry_run
from smalti.train.earlier import VERSION, checkpoint_folder, earlier_work, log_path
from smalti.train.identity import identity_of, present_fingerprint


def leave_work(folder: Path, settings: Settings, steps: int, seconds: float) -> None:
    """What a run of `steps` steps leaves, as far as a dry run looks at it."""
    fingerprint = present_fingerprint(settings.base)
    state = {
        "version": VERSION,
        "step": steps,
        "frozen_words": [],
        "identity": identity_of(load_concept(folder), settings, fingerprint, 1),
    }
    work = folder / ".training"
    path = checkpoint_folder(work) / f"step_{steps:06d}"
    path.mkdir(parents=True)
    (path / "state.json").write_text(json.dumps(state))
    log_path(work).write_text(json.dumps({"step": 1, "seconds": seconds}) + "\n")


def test_it_tells_and_does_nothing(folder, settings):
    facts = dry_run(folder, settings)
    assert (facts["images"], facts["with_mask"], facts["with_caption"]) == (8, 4, 1)
    assert facts["concept"] == "mug" and facts["estimated_minutes"] >= 0
    assert "16 of 64x64 px" in facts["crops"]
    assert facts["views_per_image"] == 4 * 2 / 8
    assert not (folder / ".training").exists()
    with pytest.raises(InputError):
        dry_run(folder / "nothing", settings)


def test_it_knows_what_a_restart_forgets(folder, settings):
    leave_work(folder, settings, 3, 1.0)
    assert dry_run(folder, settings)["steps"].endswith("3 done")
    assert dry_run(folder, settings, restart=True)["steps"].endswith("0 done")
    other = with_train(settings, rank=2)
    (told,) = dry_run(folder, other)["warnings"]
    assert "rank" in told and "--restart" in told
    assert dry_run(folder, other, restart=True)["warnings"] == []


def test_a_run_of_another_base_would_be_refused(folder, settings, monkeypatch):
    leave_work(folder, settings, 3, 1.0)
    monkeypatch.setattr(module, "present_fingerprint", lambda base: "other")
    (told,) = dry_run(folder, settings)["warnings"]
    assert "base" in told
    monkeypatch.setattr(module, "present_fingerprint", lambda base: None)  # still to be fetched
    assert dry_run(folder, settings)["warnings"] == []


def test_it_takes_times_of_the_same_run_only(folder, settings):
    leave_work(folder, settings, 1, 600.0)
    assert dry_run(folder, settings)["estimated_minutes"] == 3 * 10
    assert dry_run(folder, settings, restart=True)["estimated_minutes"] == 4 * 10
    other = with_train(settings, batch_size=1)
    assert dry_run(folder, other, restart=True)["estimated_minutes"] < 30


def test_auto_precision_is_that_of_the_run_that_goes_on(folder, settings):
    leave_work(folder, with_train(settings, mixed_precision="bf16"), 2, 1.0)
    assert dry_run(folder, with_train(settings, mixed_precision="auto"))["warnings"] == []
    (told,) = dry_run(folder, with_train(settings, mixed_precision="no"))["warnings"]
    assert "mixed_precision" in told


def test_twice_the_samples_take_twice_the_time(settings):
    def seconds(**changes: int) -> float:
        return module.estimate_step_seconds(with_train(settings, **changes))

    one = seconds(batch_size=1)
    assert seconds(batch_size=3) == pytest.approx(3 * one)
    assert seconds(batch_size=2, gradient_accumulation=2) == pytest.approx(4 * one)
    larger = replace(settings, base=replace(settings.base, resolution=128))
    assert module.estimate_step_seconds(larger) == pytest.approx(
        4 * module.estimate_step_seconds(settings)
    )


def test_unreadable_checkpoints_are_passed_over(folder, settings):
    leave_work(folder, settings, 2, 1.0)
    work = folder / ".training"
    for step, text in ((3, '{"version": 99, "step": 3}'), (4, "{")):
        path = checkpoint_folder(work) / f"step_{step:06d}"
        path.mkdir()
        (path / "state.json").write_text(text)
    log_path(work).write_text("{")
    found = earlier_work(work)
    assert (found.steps, found.step_seconds) == (2, 0.0)
    assert earlier_work(folder) is None


@pytest.mark.parametrize(
    "line",
    [
        "from smalti.train.dry_run import dry_run; dry_run(folder, Settings())",
        "from smalti.cli.concepts import describe_concept; describe_concept(folder)",
    ],
)
def test_no_torch_is_loaded_where_nothing_lies_yet(folder, line: str):
    code = (
        "import sys; from pathlib import Path; from smalti.configs.settings import Settings\n"
        f"folder = Path(sys.argv[1]); {line}; print('torch' in sys.modules)"
    )
    command = [sys.executable, "-c", code, str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert (done.returncode, done.stdout) == (0, "False\n"), done.stderr
