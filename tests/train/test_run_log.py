"""The log of a run: what was lost is dropped, and what was never written whole."""

import json
from pathlib import Path

from smalti.train.earlier import log_path
from smalti.train.run_log import RunLog


def logged(folder: Path) -> list[tuple[int, float]]:
    lines = [json.loads(line) for line in log_path(folder).read_text().splitlines()]
    return [(line["step"], line["loss"]) for line in lines]


def test_a_resumed_log_drops_what_was_lost(tmp_path: Path):
    with RunLog(tmp_path, 0) as log:
        for step in range(1, 5):
            log.write(step, {"loss": float(step)})
    with log_path(tmp_path).open("a") as file:
        file.write('{"step": 5, "lo')  # cut off by a kill
    with RunLog(tmp_path, 2) as log:
        log.write(3, {"loss": 30.0})
    assert logged(tmp_path) == [(1, 1.0), (2, 2.0), (3, 30.0)]


def test_a_new_run_has_new_logs(tmp_path: Path):
    for _ in range(2):
        with RunLog(tmp_path, 0) as log:
            log.write(1, {"loss": 1.0})
    assert logged(tmp_path) == [(1, 1.0)]
    assert len(list((tmp_path / "tensorboard").iterdir())) == 1
