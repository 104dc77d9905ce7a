"""The training loop on a tiny model: resume, accumulation, overfitting, errors."""

import errno
import json
import os
import signal
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from smalti.configs.errors import InputError, SmaltiError
from smalti.configs.settings import Settings, TrainSettings
from smalti.train import step as step_module
from smalti.train import trainer
from smalti.train.checkpoint import checkpoints, load_latest, save_state
from smalti.train.concept import load_concept
from smalti.train.lighting import RELIT
from smalti.train.trainer import dry_run, train_concept

QUICK = TrainSettings(
    mixed_precision="no",  # exact on every machine
    class_word="mug",
    steps=4,
    batch_size=2,
    crops_per_image=2,
    checkpoint_every=2,
    validate_every=None,
    validation_steps=1,
    validation_prompts=("a <concept>",),
    learning_rate_embedding=1e-2,
    learning_rate_text_encoder=1e-3,
    learning_rate_unet=1e-2,
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Eight small noisy images, half of them masked, one with its own caption."""
    folder = tmp_path / "mug"
    folder.mkdir()
    rng = np.random.default_rng(0)
    for i in range(8):
        pixels = rng.integers(0, 255, (9, 8, 3), dtype=np.uint8)
        Image.fromarray(pixels).resize((72, 80)).save(folder / f"p{i}.png")
        if i % 2:
            mask = np.zeros((80, 72), np.uint8)
            mask[20:60, 10:60] = 255
            Image.fromarray(mask).save(folder / f"p{i}.mask.png")
    (folder / "p0.txt").write_text("a red <concept> on a table")
    return folder


@pytest.fixture
def settings(tiny_settings) -> Settings:
    return Settings(base=tiny_settings, train=QUICK)


def with_train(settings: Settings, **changes) -> Settings:
    return replace(settings, train=replace(settings.train, **changes))


def quiet(*_: object) -> None:
    """A progress callback that shows nothing."""


class Killed(Exception):
    """Stands for a power cut: nothing may be saved on the way out."""


def killed_after(steps: int):
    def progress(step: int, total: int, loss: float) -> None:
        if step == steps:
            raise Killed

    return progress


def test_a_run_leaves_what_users_need(folder: Path, settings: Settings, capsys):
    seen = []
    out = train_concept(folder, settings, progress=lambda *values: seen.append(values))
    assert out == folder.resolve() / "edlora.safetensors" and out.is_file()
    assert [values[:2] for values in seen] == [(k, 4) for k in range(1, 5)]
    work = folder / ".training"
    grid = Image.open(folder / "validation.png")
    assert grid.height > 3 * 64 and grid.size == Image.open(work / "validation/step_0000.png").size
    assert (work / "validation/step_0004.png").is_file()
    lines = [json.loads(line) for line in (work / "log.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == [1, 2, 3, 4]
    assert lines[0]["lr_factor"] == 1 and lines[3]["lr_factor"] == pytest.approx(0.25)
    assert list((work / "tensorboard").iterdir())
    assert 'class_word = "mug"' in (work / "settings.toml").read_text()
    assert [path.name for path in checkpoints(work / "checkpoints")] == [
        "step_000002",
        "step_000004",
    ]
    assert capsys.readouterr() == ("", "")


def test_the_file_says_what_it_is(folder: Path, settings: Settings):
    from smalti.models.edlora import read_metadata

    facts = read_metadata(train_concept(folder, settings, progress=quiet))
    assert (facts["name"], facts["class_word"], facts["steps"]) == ("mug", "mug", 4)
    assert facts["training"]["batch_size"] == 2 and facts["images"] == 8


@pytest.mark.parametrize("kill_at", [2, 3])
def test_n_steps_kill_and_m_more_equal_n_plus_m(folder, settings, tmp_path, kill_at):
    """Bit for bit, also when the kill loses steps since the last checkpoint."""
    import shutil

    twin = tmp_path / "twin" / "mug"
    shutil.copytree(folder, twin)
    whole = load_file(train_concept(twin, settings, progress=quiet))
    with pytest.raises(Killed):
        train_concept(folder, settings, progress=killed_after(kill_at))
    torch.manual_seed(12345)  # whatever the process did in between
    resumed = load_file(train_concept(folder, settings, progress=quiet))
    assert whole.keys() == resumed.keys()
    assert all(torch.equal(whole[key], resumed[key]) for key in whole)
    logs = [(f / ".training/log.jsonl").read_text().splitlines() for f in (twin, folder)]
    losses = [[json.loads(line)["loss"] for line in log] for log in logs]
    assert losses[0] == losses[1] and len(losses[0]) == 4
    states = [load_latest(f / ".training/checkpoints").optimizer["state"] for f in (twin, folder)]
    assert torch.equal(states[0][0]["exp_avg_sq"], states[1][0]["exp_avg_sq"])


def test_ctrl_c_saves_and_the_same_command_goes_on(folder: Path, settings: Settings):
    def interrupt(step: int, total: int, loss: float) -> None:
        if step == 1:  # seen between this step and the next
            os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        train_concept(folder, settings, progress=interrupt)
    assert load_latest(folder / ".training/checkpoints").step == 2
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    steps = []
    train_concept(folder, settings, progress=lambda step, *_: steps.append(step))
    assert steps == [3, 4]


def test_ctrl_c_says_how_to_resume(folder: Path, settings: Settings, monkeypatch, capsys):
    original = trainer.train_step

    def step_and_interrupt(run):
        os.kill(os.getpid(), signal.SIGINT)
        return original(run)

    monkeypatch.setattr(trainer, "train_step", step_and_interrupt)
    with pytest.raises(KeyboardInterrupt):
        train_concept(folder, settings)
    assert "Stopped after step 1" in (said := capsys.readouterr().err)
    assert "same command" in said


def test_finished_training_says_so_extends_and_restarts(folder, settings, capsys, monkeypatch):
    out = train_concept(folder, settings, progress=quiet)
    before, first = out.read_bytes(), load_file(out)
    with monkeypatch.context() as patch:
        patch.setattr(trainer, "load_base", None)  # nothing heavy may happen
        assert train_concept(folder, settings) == out
    said = capsys.readouterr().err
    assert "trained already (4 steps)" in said and "--restart" in said and "--steps" in said
    steps = []
    note = lambda step, *_: steps.append(step)  # noqa: E731
    train_concept(folder, with_train(settings, steps=6), progress=note)
    assert steps == [5, 6] and out.read_bytes() != before
    steps.clear()
    told: list[bool] = []
    gone = lambda: told.append(not (folder / ".training" / "checkpoints").exists())  # noqa: E731
    train_concept(folder, settings, progress=note, restart=True, restarted=gone)
    assert steps == [1, 2, 3, 4] and told == [True]
    again = load_file(out)
    assert all(torch.equal(first[key], again[key]) for key in first)


def test_a_restart_that_fails_has_deleted_nothing(folder, settings, monkeypatch):
    out = train_concept(folder, settings, progress=quiet)
    before = out.read_bytes()

    def offline(*_, **__):
        raise InputError("no network")

    with monkeypatch.context() as patch, pytest.raises(InputError, match="no network"):
        patch.setattr(trainer, "load_base", offline)
        never = lambda: pytest.fail("nothing is gone")  # noqa: E731
        train_concept(folder, settings, progress=quiet, restart=True, restarted=never)
    steps = []
    train_concept(folder, settings, progress=lambda step, *_: steps.append(step))
    assert not steps and out.read_bytes() == before


def test_a_finished_training_is_not_that_of_another_base(folder, settings, tmp_path):
    from tiny import make_tiny_sd

    train_concept(folder, settings, progress=quiet)
    other = replace(settings.base, source=str(make_tiny_sd(tmp_path / "other", seed=1)))
    with pytest.raises(InputError, match=r"base \(then .*--restart"):
        train_concept(folder, replace(settings, base=other), progress=quiet)
    (told,) = trainer.dry_run(folder, replace(settings, base=other))["warnings"]
    assert "base (then" in told


def test_a_lost_adapter_is_written_again_from_the_last_checkpoint(folder, settings):
    out = train_concept(folder, settings, progress=quiet)
    before = load_file(out)
    for damage in (out.unlink, lambda: out.write_bytes(b"cut short")):
        damage()
        steps = []
        train_concept(folder, settings, progress=lambda step, *_: steps.append(step))  # noqa: B023
        after = load_file(out)
        assert not steps and all(torch.equal(before[key], after[key]) for key in before)


def test_a_damaged_checkpoint_costs_steps_not_the_run(folder, settings):
    with pytest.raises(Killed):
        train_concept(folder, with_train(settings, steps=5), progress=killed_after(5))
    last = checkpoints(folder / ".training/checkpoints")[-1]
    (last / "adapter.safetensors").write_bytes(b"")
    steps = []
    run = with_train(settings, steps=5)
    train_concept(folder, run, progress=lambda step, *_: steps.append(step))
    assert steps == [3, 4, 5]


def test_changed_settings_or_images_are_refused_by_name(folder, settings):
    train_concept(folder, settings, progress=quiet)
    with pytest.raises(InputError, match=r"rank \(then 4\).*--restart"):
        train_concept(folder, with_train(settings, rank=8), progress=quiet)
    (folder / "p0.txt").write_text("a blue <concept>")
    with pytest.raises(InputError, match="images.*--restart"):
        train_concept(folder, settings, progress=quiet)


def test_two_micro_batches_equal_one_batch(folder, settings, tmp_path):
    """Gradient accumulation 2 x 1 draws the samples of batch 2 and averages their losses."""
    gradients = []
    for batch, accumulation in ((2, 1), (1, 2)):
        train = replace(
            QUICK, batch_size=batch, gradient_accumulation=accumulation, min_snr_gamma=5.0
        )
        run = make_run(folder, replace(settings, train=train), tmp_path / "work")
        for micro in range(accumulation):
            losses = step_module.batch_losses(run, step_module.make_batch(run, micro))
            (sum(losses.values()) / accumulation).backward()
        parameters = [p for g in run.optimizer.param_groups for p in g["params"]]
        gradients.append(torch.cat([p.grad.flatten() for p in parameters]))
    assert gradients[0].abs().max() > 1e-4
    assert torch.allclose(gradients[0], gradients[1], rtol=1e-3, atol=1e-6)


def test_min_snr_decides_which_timesteps_come_and_weighs_no_loss(folder, settings, tmp_path):
    """Against the formula for predicted noise, min(s, g) / s: the mean timestep of 800 samples."""
    runs = [
        make_run(
            folder,
            replace(settings, train=replace(QUICK, batch_size=100, min_snr_gamma=gamma)),
            tmp_path / f"gamma{gamma}",
        )
        for gamma in (0.0, 0.5)
    ]
    alphas = runs[1].alphas.double()
    snr = alphas / (1 - alphas)
    share = snr.clamp(max=0.5) / snr
    share /= share.sum()
    times = torch.arange(len(share), dtype=torch.float64)
    mean = (share * times).sum()
    error = ((share * (times - mean).square()).sum() / 800).sqrt()
    drawn = []
    for runs[1].step in range(8):
        drawn.append(step_module.make_batch(runs[1], 0).timesteps.double())
    assert mean - times.mean() > 12 * error
    assert abs(torch.cat(drawn).mean() - mean) < 4 * error

    batch = step_module.make_batch(replace(runs[1], settings=QUICK), 0)
    plain, weighted = (step_module.batch_losses(run, batch)["denoising"] for run in runs)
    torch.testing.assert_close(plain, weighted)


def test_relit_steps_say_so_and_show_relit_latents(folder, settings, tmp_path):
    train = replace(QUICK, batch_size=2, relit_share=0.5)
    run = make_run(folder, replace(settings, train=train), tmp_path / "work")
    shown = set()
    for run.step in range(12):
        batch = step_module.make_batch(run, 0)
        relit = {prompt.endswith(RELIT) for prompt in batch.prompts}
        own = run.data.latents[:, :, 0].flatten(0, 1)
        plain = {any(torch.equal(one, crop) for crop in own) for one in batch.latents.cpu()}
        assert relit == {not found for found in plain}
        shown |= relit
    assert shown == {True, False}


def make_run(folder: Path, settings: Settings, work: Path):
    accelerator = trainer.make_accelerator(settings.train)
    return trainer.prepare(load_concept(folder, "mug"), settings, accelerator, work)


@pytest.mark.parametrize("kind", ["epsilon", "v_prediction"])
def test_loss_falls_when_overfitting_one_image(folder, settings, tmp_path, kind):
    from tiny import make_tiny_sd

    for path in folder.glob("p[1-9]*"):
        path.unlink()
    for name in ("p1.png", "p2.png"):
        (folder / name).write_bytes((folder / "p0.png").read_bytes())
    base = replace(settings.base, source=str(make_tiny_sd(tmp_path / kind, prediction_type=kind)))
    train = replace(QUICK, steps=200, rank=8, crops_per_image=1, weight_decay=0.0)
    run = make_run(folder, Settings(base=base, train=train), tmp_path / "work")
    fixed = step_module.make_batch(run, 0)

    def loss() -> float:
        with torch.no_grad():
            return step_module.batch_losses(run, fixed)["denoising"].item()

    before = loss()
    for _ in range(40):
        step_module.train_step(run)
    assert loss() < 0.95 * before


def test_gradient_checkpointing_changes_nothing(folder, settings, tmp_path):
    results = []
    for checkpointing in (False, True):
        train = replace(QUICK, gradient_checkpointing=checkpointing, attention_weight=1.0)
        run = make_run(folder, Settings(base=settings.base, train=train), tmp_path / "work")
        step_module.train_step(run)
        results.append(trainer.adapter_state(run.base, run.adapter))
        assert len(run.recorder.maps) == run.base.layers, "recorded again in the backward pass"
    for key in results[0]:
        assert torch.allclose(results[0][key], results[1][key], atol=1e-5), key


def test_plain_lora_and_bf16_train_too(folder, settings):
    out = train_concept(
        folder, with_train(settings, method="lora", mixed_precision="bf16"), progress=quiet
    )
    tensors = load_file(out)
    assert all(t.dtype == torch.float32 and torch.isfinite(t).all() for t in tensors.values())


def test_casts_that_are_left_to_autocast_change_nothing(folder, settings, tmp_path, monkeypatch):
    """A cast to fp32 and back to bf16 is the identity, forwards and backwards."""
    half, results = with_train(settings, mixed_precision="bf16"), []
    for spare in (trainer.casts_left_to_autocast, lambda base: nullcontext()):
        monkeypatch.setattr(trainer, "casts_left_to_autocast", spare)
        results.append(load_file(train_concept(folder, half, progress=quiet, restart=True)))
    assert all(torch.equal(results[0][key], results[1][key]) for key in results[0])


def test_words_at_the_norm_limit_stay_put(folder, settings, tmp_path):
    run = make_run(folder, settings, tmp_path / "work")
    run.frozen_words = [True, False]
    held = run.adapter.embeddings.detach().clone()
    step_module.train_step(run)
    now = run.adapter.embeddings.detach()
    assert torch.equal(now[0], held[0]) and not torch.equal(now[1], held[1])
    run.norm_limits = torch.tensor([100.0, 0.01])
    step_module.train_step(run)
    assert run.frozen_words == [True, True]


def test_norm_limits():
    embeddings = torch.stack([torch.full((3, 4), 0.1), torch.full((3, 4), 0.5)])  # norms 0.2, 1.0
    limits = step_module.initial_norm_limits(embeddings, 0.55)
    assert limits.tolist() == pytest.approx([0.55, 1.5])
    assert step_module.initial_norm_limits(embeddings, 0.0).isinf().all()


def test_word_maps_pick_the_words_and_average_heads_and_layers():
    maps = [
        (0, torch.rand(2, 3, 16, 77)),
        (1, torch.rand(2, 3, 4, 77)),
        (2, torch.rand(2, 3, 16, 77)),
    ]
    places = torch.tensor([[5, 6], [2, 9]])
    found = step_module.word_maps(maps, places, (8, 8))
    assert {key: tuple(value.shape) for key, value in found.items()} == {
        4: (2, 2, 4, 4),
        2: (2, 2, 2, 2),
    }
    by_hand = sum(maps[layer][1][1, head, 6, 9] for layer in (0, 2) for head in range(3)) / 6
    assert found[4][1, 1, 1, 2].item() == pytest.approx(by_hand.item())


def test_captions_that_are_cut_before_the_concept_are_refused(folder, settings):
    (folder / "p0.txt").write_text("red " * 90 + "<concept>")
    with pytest.raises(InputError, match="cut off before"):
        train_concept(folder, settings, progress=quiet)


def test_settings_that_cannot_work_here(folder, settings, monkeypatch):
    with pytest.raises(InputError, match="bitsandbytes.*pip install"):
        train_concept(folder, with_train(settings, optimizer="adamw8bit"), progress=quiet)
    if not torch.cuda.is_available():
        with pytest.raises(InputError, match="fp16"):
            train_concept(folder, with_train(settings, mixed_precision="fp16"), progress=quiet)


def test_a_loss_that_is_not_finite_stops_the_run(folder, settings):
    runaway = with_train(settings, learning_rate_unet=1e30, gradient_clip=None)
    with pytest.raises(SmaltiError, match="learning rate") as caught:
        train_concept(folder, runaway, progress=quiet)
    assert caught.value.exit_code == 1


def test_a_full_disk_is_reported_and_the_last_checkpoint_stays(folder, settings, monkeypatch):
    from smalti.train import checkpoint

    original = checkpoint.save_file

    def full(tensors, path):
        if "step_000004" in str(path):
            raise OSError(errno.ENOSPC, "No space left on device")
        original(tensors, path)

    monkeypatch.setattr(checkpoint, "save_file", full)
    with pytest.raises(SmaltiError, match="disk is full"):
        train_concept(folder, settings, progress=quiet)
    folders = list((folder / ".training/checkpoints").iterdir())
    assert [path.name for path in folders] == ["step_000002"]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="Linux only")
def test_a_disk_that_fills_up_under_torchs_own_file_is_recognised():
    with pytest.raises(OSError, match="No space left"):
        save_state({"step": 1, "weights": torch.ones(5)}, Path("/dev/full"))


def test_an_unwritable_folder_is_refused_before_any_work(folder, settings, monkeypatch):
    def refuse(self, *args, **options):
        raise PermissionError(errno.EACCES, "Permission denied", str(self))

    monkeypatch.setattr(Path, "mkdir", refuse)
    with pytest.raises(InputError, match="cannot be written"):
        train_concept(folder, settings, progress=quiet)


def test_dry_run_knows_what_a_restart_forgets(folder, settings):
    train_concept(folder, settings, progress=quiet)
    assert dry_run(folder, settings)["steps"].endswith("4 done")
    assert dry_run(folder, settings, restart=True)["steps"].endswith("0 done")
    other = replace(settings, train=replace(settings.train, rank=2))
    assert "rank (then 4)" in dry_run(folder, other)["warnings"][-1]
    assert dry_run(folder, other, restart=True)["warnings"] == []


def test_dry_run_takes_times_of_the_same_run_only(folder, settings):
    train_concept(folder, settings, progress=quiet)
    log = folder / ".training" / "log.jsonl"
    log.write_text('{"seconds": 600}\n')
    assert dry_run(folder, settings, restart=True)["estimated_minutes"] == 40
    other = replace(settings, train=replace(settings.train, batch_size=1))
    assert dry_run(folder, other, restart=True)["estimated_minutes"] < 40


def test_dry_run_tells_and_does_nothing(folder, settings):
    facts = dry_run(folder, settings)
    assert (facts["images"], facts["with_mask"], facts["with_caption"]) == (8, 4, 1)
    assert facts["concept"] == "mug" and facts["estimated_minutes"] >= 0
    assert "16 of 64x64 px" in facts["crops"]
    assert not (folder / ".training").exists()
    with pytest.raises(InputError):
        dry_run(folder / "nothing", settings)
