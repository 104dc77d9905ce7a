"""A tiny model of SDXL's family through training: the loss falls, a cut run ends with its bytes."""

import math

import pytest
import torch
from safetensors import safe_open
from training import QUICK, Killed, killed_after, make_concept, prepared, with_train

from smalti.configs.settings import Settings
from smalti.models.edlora import adapter_state
from smalti.train import priors
from smalti.train.batch import make_batch
from smalti.train.step import batch_losses, train_step
from smalti.train.trainer import train_concept


@pytest.fixture
def settings(xl_settings) -> Settings:
    return Settings(base=xl_settings, train=QUICK)


def test_steps_lower_the_loss_and_leave_the_base_as_it_is(tmp_path, settings):
    """Of one fixed batch, whose crops the network is told of; every part that is read learns."""
    folder = make_concept(tmp_path / "mug")
    run = prepared(folder, with_train(settings, steps=40, relit_share=0.0), tmp_path / "work")
    frozen = {key: value.clone() for key, value in run.base.unet.state_dict().items()
              if "lora_" not in key}  # fmt: skip
    batch, start = make_batch(run, 0), adapter_state(run.base, run.adapter)
    assert batch.frames.shape == (2, 4) and (batch.frames[:, :2] == torch.tensor([80, 72])).all()
    with torch.no_grad():
        before = float(sum(batch_losses(run, batch).values()))
    for _ in range(5):
        train_step(run)
        run.step -= 1  # the same samples again
    with torch.no_grad():
        after = float(sum(batch_losses(run, batch).values()))
    assert after < 0.98 * before
    now = adapter_state(run.base, run.adapter)
    moved = {key.split(".")[0] for key in now if not torch.equal(now[key], start[key])}
    assert moved == {"unet", "text_encoder", "text_encoder_2", "edlora"}
    left = run.base.unet.state_dict()
    assert all(torch.equal(left[key], value) for key, value in frozen.items())


@pytest.mark.slow
def test_a_cut_run_ends_with_the_bytes_of_an_uncut_one(tmp_path, settings):
    """Cut after the second of three steps, it goes on from the first."""
    settings = with_train(settings, steps=3, checkpoint_every=1, crops_per_image=1)
    paths = []
    for name, cut in (("whole/mug", False), ("cut/mug", True)):
        folder = make_concept(tmp_path / name)
        if cut:
            with pytest.raises(Killed):
                train_concept(folder, settings, progress=killed_after(2, 3))
        paths.append(train_concept(folder, settings, progress=lambda *_: None))
    assert paths[0].read_bytes() == paths[1].read_bytes()
    with safe_open(paths[0], framework="pt") as file:
        assert file.get_slice("edlora.<mug-1>.layers").get_shape() == [11, 56]


@pytest.mark.slow
def test_other_methods_learn_on_this_family(tmp_path, settings, monkeypatch):
    """All that should learn has moved after two steps, but for layers that see a single pixel."""
    monkeypatch.setattr(priors, "STEPS", 1)
    folder = make_concept(tmp_path / "mug")
    for method in ("lora", "custom-diffusion"):
        quick = with_train(settings, method=method, class_pictures=2, batch_size=1, seed=1)
        run = prepared(folder, quick, tmp_path / "work")
        start = adapter_state(run.base, run.adapter)
        for _ in range(2):
            assert math.isfinite(train_step(run)["loss"])
        now = adapter_state(run.base, run.adapter)
        moved = [key for key in now if not torch.equal(now[key], start[key])]
        assert len(moved) > 0.9 * len(now), method
