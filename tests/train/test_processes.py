"""Several processes, started by `accelerate launch` as a user starts them; here on the CPU."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from PIL import Image
from safetensors.torch import load_file
from typer.testing import CliRunner

from smalti.cli import train

COLORS = ("red", "green", "blue")
SETTINGS = (
    "class_word=mug", "steps=2", "crops_per_image=1", "validate_every=off", "validation_steps=1",
    'validation_prompts=["a <concept>"]', "learning_rate_unet=1e-3", "mixed_precision=no",
)  # fmt: skip


def options(folder: Path, base: Path, batch: int) -> list[str]:
    """The words of a training on a tiny base."""
    given = [f"--set=train.{text}" for text in (*SETTINGS, f"batch_size={batch}")]
    return [str(folder), "--base", str(base), *given]


def launch(processes: int) -> list[str]:
    """`accelerate launch`, which asks for GPUs; the environment says that there are none."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    options = {"num_processes": processes, "num_machines": 1, "main_process_port": port,
               "mixed_precision": "no", "dynamo_backend": "no"}  # fmt: skip
    words = [word for name, value in options.items() for word in (f"--{name}", str(value))]
    return [sys.executable, "-m", "accelerate.commands.launch", "--multi_gpu", *words]


def make_photos(folder: Path) -> Path:
    """A concept of three pictures."""
    folder.mkdir(parents=True)
    for number, color in enumerate(COLORS):
        Image.new("RGB", (64, 64), color).save(folder / f"{number}.png")
    return folder


@pytest.mark.slow
def test_two_processes_train_what_one_with_twice_the_batch_does(tmp_path: Path, tiny_sd: Path):
    alone, together = (make_photos(tmp_path / name / "mug") for name in ("alone", "together"))
    done = CliRunner().invoke(train.app, options(alone, tiny_sd, 2))
    assert done.exit_code == 0, done.output
    done = subprocess.run(
        [*launch(2), "-m", "smalti.cli.train", *options(together, tiny_sd, 1)],
        env={**os.environ, "ACCELERATE_USE_CPU": "true", "OMP_NUM_THREADS": "1"},
        capture_output=True, text=True, timeout=600, cwd=tmp_path,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    one, two = (load_file(folder / "edlora.safetensors") for folder in (alone, together))
    assert one.keys() == two.keys()
    assert all(torch.allclose(one[key], two[key], atol=1e-5) for key in one)
