"""Ctrl-C and SIGTERM, turned into a question that is asked between two steps."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch

from .run import Run


@contextmanager
def stop_requests() -> Iterator[threading.Event]:
    """Turn Ctrl-C and SIGTERM into an event checked between steps; a second one acts at once."""
    stop = threading.Event()

    def ask(number: int, frame: Any) -> None:
        if stop.is_set():
            raise KeyboardInterrupt
        stop.set()

    if threading.current_thread() is not threading.main_thread():
        yield stop
        return
    old = {number: signal.signal(number, ask) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stop
    finally:
        for number, handler in old.items():
            signal.signal(number, handler)


def agreed(run: Run, mine: bool) -> bool:
    """Say whether any process wants to leave the loop, so that all do at the same step."""
    if run.accelerator.num_processes == 1:
        return mine
    wants = torch.tensor(float(mine), device=run.base.device)
    return bool(run.accelerator.reduce(wants, reduction="sum") > 0)
