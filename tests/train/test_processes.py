"""Several processes, as `accelerate launch` starts them; here on the CPU."""

import os
import runpy
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

SCRIPT = """
import sys
from pathlib import Path
from smalti.configs.progress import silent
from smalti.configs.settings import BaseSettings, Settings, TrainSettings
from smalti.train.trainer import train_concept

def train(folder, source, batch):
    settings = TrainSettings(
        class_word="mug", steps=2, batch_size=batch, crops_per_image=1, validate_every=None,
        validation_steps=1, validation_prompts=("a <concept>",), learning_rate_unet=1e-3,
        mixed_precision="no",
    )
    base = BaseSettings(name="tiny", source=source, resolution=64)
    return train_concept(Path(folder), Settings(base, settings), progress=silent)

if __name__ == "__main__":
    train(sys.argv[1], sys.argv[2], 1)
"""


def environments(count: int = 2) -> list[dict[str, str]]:
    """What a launcher gives each of its processes."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    shared = {"WORLD_SIZE": str(count), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port),
              "ACCELERATE_USE_CPU": "true", "OMP_NUM_THREADS": "1"}  # fmt: skip
    ranks = [{"RANK": str(rank), "LOCAL_RANK": str(rank)} for rank in range(count)]
    return [{**os.environ, **shared, **rank} for rank in ranks]


@pytest.mark.slow
def test_two_processes_train_what_one_with_twice_the_batch_does(tmp_path: Path, tiny_sd: Path):
    folders = [tmp_path / str(processes) / "mug" for processes in (1, 2)]
    for folder in folders:
        folder.mkdir(parents=True)
        for i, color in enumerate(("red", "green", "blue")):
            Image.new("RGB", (64, 64), color).save(folder / f"{i}.png")
    (tmp_path / "script.py").write_text(SCRIPT)
    script = runpy.run_path(str(tmp_path / "script.py"))
    one = load_file(script["train"](folders[0], str(tiny_sd), 2))
    command = [sys.executable, str(tmp_path / "script.py"), str(folders[1]), str(tiny_sd)]
    started = [subprocess.Popen(command, env=env, stderr=subprocess.PIPE) for env in environments()]
    for process in started:
        _, said = process.communicate(timeout=600)
        assert process.returncode == 0, said.decode()
    two = load_file(folders[1] / "edlora.safetensors")
    assert all(torch.allclose(one[key], two[key], atol=1e-5) for key in one)
