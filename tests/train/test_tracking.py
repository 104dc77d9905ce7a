"""The bar, the logs, the validation grid, and several processes."""

import io
import json
import os
import runpy
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from PIL import Image
from rich.console import Console
from safetensors.torch import load_file

from smalti.train.tracking import RunLog, TrainingBar
from smalti.train.validation import save_grid


def test_off_a_terminal_the_bar_is_ten_plain_lines():
    out = io.StringIO()
    with TrainingBar("sylvie", 40, console=Console(file=out, width=40)) as bar:
        for step in range(1, 41):
            bar.update(step, 0.5)
    lines = out.getvalue().splitlines()
    assert len(lines) == 10 and "\x1b" not in out.getvalue()
    assert lines[0].startswith("sylvie 4/40") and "loss 0.5000" in lines[0]
    assert "it/s" in lines[-1] and lines[-1].startswith("sylvie 40/40")


def test_on_a_terminal_it_is_one_bar():
    out = io.StringIO()
    console = Console(file=out, force_terminal=True, width=120)
    with TrainingBar("sylvie", 4, console=console) as bar:
        for step in range(1, 5):
            bar.update(step, 1.0)
        bar.note("a line above")
    assert "4/4" in out.getvalue() and "a line above" in out.getvalue()


def test_the_running_loss_is_smooth():
    bar = TrainingBar("x", 2, visible=False)
    bar.update(1, 1.0)
    bar.update(2, 2.0)
    assert bar.loss == pytest.approx(1.05)


def test_a_resumed_log_drops_what_was_lost(tmp_path: Path):
    log = RunLog(tmp_path, 0)
    for step in range(1, 5):
        log.write(step, {"loss": float(step)})
    log.close()
    with (tmp_path / "log.jsonl").open("a") as file:
        file.write('{"step": 5, "lo')  # cut off by a kill
    log = RunLog(tmp_path, 2)
    log.write(3, {"loss": 30.0})
    log.close()
    lines = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert [(line["step"], line["loss"]) for line in lines] == [(1, 1.0), (2, 2.0), (3, 30.0)]
    log = RunLog(tmp_path, 0)
    log.close()
    assert (tmp_path / "log.jsonl").read_text() == ""
    assert len(list((tmp_path / "tensorboard").iterdir())) == 1


def test_grid_has_a_row_per_scale_and_a_column_per_prompt(tmp_path: Path):
    images = torch.zeros(3, 2, 3, 32, 40)
    images[2, 1, 0] = 1.0  # the last cell is red
    save_grid(images, ["a very long prompt that cannot fit", "b"], tmp_path / "sub" / "grid.png")
    sheet = Image.open(tmp_path / "sub" / "grid.png")
    right, bottom = sheet.width - 8, sheet.height - 8
    assert sheet.getpixel((right, bottom)) == (255, 0, 0)
    assert sheet.getpixel((right - 44, bottom)) == (0, 0, 0)
    assert sheet.getpixel((right, bottom - 36)) == (0, 0, 0)
    assert [path.name for path in (tmp_path / "sub").iterdir()] == ["grid.png"]


SCRIPT = """
import sys
from pathlib import Path
from smalti.configs.settings import BaseSettings, Settings, TrainSettings
from smalti.train.trainer import train_concept

def train(folder, source, batch):
    settings = TrainSettings(
        class_word="mug", steps=2, batch_size=batch, crops_per_image=1, validate_every=None,
        validation_steps=1, validation_prompts=("a <concept>",), learning_rate_unet=1e-3,
        mixed_precision="no",
    )
    base = BaseSettings(name="tiny", source=source, resolution=64)
    return train_concept(Path(folder), Settings(base, settings), progress=lambda *_: None)

if __name__ == "__main__":
    train(sys.argv[1], sys.argv[2], 1)
"""


def test_two_processes_train_what_one_with_twice_the_batch_does(tmp_path: Path, tiny_sd: Path):
    """As `accelerate launch` starts them; here on the CPU."""
    folders = [tmp_path / str(processes) / "mug" for processes in (1, 2)]
    for folder in folders:
        folder.mkdir(parents=True)
        for i, color in enumerate(("red", "green", "blue")):
            Image.new("RGB", (64, 64), color).save(folder / f"{i}.png")
    (tmp_path / "script.py").write_text(SCRIPT)
    one = load_file(
        runpy.run_path(str(tmp_path / "script.py"))["train"](folders[0], str(tiny_sd), 2)
    )
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2"]
    done = subprocess.run(
        [*launch, str(tmp_path / "script.py"), str(folders[1]), str(tiny_sd)],
        env={**os.environ, "ACCELERATE_USE_CPU": "true", "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    two = load_file(folders[1] / "edlora.safetensors")
    assert all(torch.allclose(one[key], two[key], atol=1e-5) for key in one)
