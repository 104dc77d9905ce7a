"""The best, not the last: which checkpoint is kept, when training is over, what a person picks."""

import itertools
import json
import shutil
from pathlib import Path

import pytest
import torch
from PIL import Image
from refusals import refused
from training import QUICK, Killed, killed_after, make_concept, told_steps, with_train
from typer.testing import CliRunner

from smalti.cli.main import app
from smalti.configs.progress import silent
from smalti.configs.settings import Settings
from smalti.models.adapter_file import read_metadata, write_adapter
from smalti.train import judging, loop, prepare
from smalti.train.judged import Judged, is_over, kept_steps, pick, ranked, reached, read_judged
from smalti.train.trainer import train_concept

SCORES = {1: 0.2, 2: 0.9, 3: 0.4, 4: 0.6, 5: 0.1}


class FakeJudge:
    """Gives step n the score that SCORES has for it."""

    prompts = ("a <concept>",)

    def __init__(self, run_steps: list[int]) -> None:
        self.steps = run_steps

    def __call__(self, pictures: torch.Tensor) -> tuple[float, float]:
        assert pictures.shape == (1, 3, 8, 8)
        return SCORES[int(pictures[0, 0, 0, 0])], 0.5


@pytest.fixture
def judged(monkeypatch: pytest.MonkeyPatch, tiny_settings, tmp_path: Path):
    """Train five steps, each judged; keywords change settings."""
    settings = with_train(
        Settings(base=tiny_settings, train=QUICK), steps=5, batch_size=1, crops_per_image=1,
        checkpoint_every=1, judge_every=1, keep_judged=2, method="textual-inversion",
    )  # fmt: skip
    folder = make_concept(tmp_path / "mug")

    def drawn(base, prompts, *_, **__):
        count = judged.run.step
        return torch.full((1, 3, 8, 8), float(count))

    taken = judging.Judging.values

    def values(self, run):
        judged.run = run
        return taken(self, run)

    def judged(progress=silent, **changes):
        out = train_concept(
            folder, with_train(settings, **changes), judge=FakeJudge([]), progress=progress
        )
        return folder, out

    monkeypatch.setattr(judging.Judging, "values", values)
    monkeypatch.setattr(judging, "draw_pictures", drawn)
    monkeypatch.setattr(loop, "draw_validation", lambda *_: torch.zeros(3, 1, 3, 8, 8))
    return judged


def test_of_equals_the_earliest_is_best_and_patience_counts_what_came_since():
    """By brute force over all courses of four scores."""
    for course in itertools.product((0.1, 0.5, 0.9), repeat=4):
        found = [Judged(10 * n, score, 1.0) for n, score in enumerate(course, 1)]
        best = course.index(max(course))
        assert ranked(found)[0].step == 10 * (best + 1)
        for patience in (1, 2, 3):
            assert is_over(found, patience) == (4 - 1 - best >= patience)
    assert not is_over([], 1) and not is_over(found, None)


@pytest.mark.slow
def test_the_best_is_written_the_curve_drawn_and_another_may_be_picked(judged, monkeypatch):
    folder, out = judged()
    work = folder / ".training"
    assert read_metadata(out)["steps"] == 2
    assert kept_steps(work) == [2, 4]  # the best two
    assert {one.step: 2 * one.score for one in read_judged(work)} == pytest.approx(SCORES)
    assert len(Image.open(work / "judged.png").getcolors(1 << 16)) > 3
    lines = [json.loads(line) for line in (work / "log.jsonl").read_text().splitlines()]
    assert [line["obedience"] for line in lines] == [0.5] * 5
    said = CliRunner().invoke(app, ["concepts", "pick", str(folder), "4"])
    assert said.exit_code == 0 and read_metadata(out)["steps"] == 4
    picked = out.read_bytes()
    monkeypatch.setattr(prepare, "load_base", None)  # finished, so that nothing heavy happens
    assert judged()[1].read_bytes() == picked
    with refused("3", "2 (0.450)", "4 (0.300)"):
        pick(folder, 3)
    shutil.rmtree(work / "judged")
    with refused("--judge-every"):
        pick(folder, 2)


@pytest.mark.slow
def test_training_stops_when_it_has_long_been_over_and_stays_stopped(judged, monkeypatch):
    steps: list[int] = []
    folder, out = judged(told_steps(steps, 5), patience=2)
    assert steps == [1, 2, 3, 4] and read_metadata(out)["steps"] == 2
    with monkeypatch.context() as patch:
        patch.setattr(prepare, "load_base", None)
        judged(patience=2)
    more: list[int] = []
    judged(told_steps(more, 5))  # without patience it goes on
    assert more == [5]


@pytest.mark.slow
def test_a_judged_run_that_was_cut_off_ends_as_one_unbroken(judged, tmp_path):
    folder, out = judged()
    expected = out.read_bytes()
    shutil.rmtree(folder / ".training")
    out.unlink()
    with pytest.raises(Killed):
        judged(killed_after(3, 5))
    assert judged()[1].read_bytes() == expected
    assert len(read_judged(folder / ".training")) == 5


def test_a_concept_says_what_its_written_step_reached(tmp_path):
    """By a log and a choice that stand here; of another run's adapter nothing is said."""
    folder = make_concept(tmp_path / "mug")
    work = folder / ".training"
    (work / "judged").mkdir(parents=True)
    lines = [{"step": n, "loss": 1.0} for n in range(1, 41)]
    for n, likeness in ((20, 0.61), (40, 0.47)):
        lines[n - 1] |= {"likeness": likeness, "obedience": 0.82}
    (work / "log.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    facts = {"name": "mug", "method": "edlora", "rank": 4, "steps": 20, "training": {"steps": 50}}

    def told() -> str:
        write_adapter(folder / "edlora.safetensors", {"x": torch.zeros(1)}, facts, {})
        said = CliRunner().invoke(app, ["concepts", "--concepts-dir", str(tmp_path)])
        assert said.exit_code == 0 and "mug" in said.output
        return said.output

    assert reached(folder, 20) is None and "not judged" in told()
    (work / "judged" / "chosen.json").write_text('{"step": 20, "of": 40}')
    assert reached(folder, 20) == (Judged(20, 0.61, 0.82), 40)
    assert all(text in told() for text in ("0.610", "0.820", "20 of 40"))
    facts["steps"] = 40
    assert reached(folder, 40) is None and "not judged" in told() and "0.610" not in told()


def test_concepts_are_listed_without_a_command(tmp_path):
    make_concept(tmp_path / "mug")
    said = CliRunner().invoke(app, ["concepts", "--concepts-dir", str(tmp_path)])
    assert said.exit_code == 0 and "mug" in said.output and "judged" not in said.output
