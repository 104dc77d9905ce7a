"""What workers are called, so that anybody on their machine can tell whether they live."""

import os
import socket

import psutil

SLACK = 2.0  # seconds by which two looks at a process's start may differ


def worker_name() -> str:
    """The name of this process: machine, process, when it began."""
    process = psutil.Process()
    return f"{socket.gethostname()}:{process.pid}:{process.create_time():.0f}"


def is_dead(worker: str) -> bool:
    """Whether a worker is known to be dead; of other machines' nothing is known."""
    host, *process_and_start = worker.rsplit(":", 2)
    if host != socket.gethostname():
        return False
    try:
        number, began = process_and_start
        process = psutil.Process(int(number))
        gone = process.status() == psutil.STATUS_ZOMBIE
        return gone or abs(process.create_time() - float(began)) > SLACK
    except psutil.NoSuchProcess:
        return True
    except (psutil.Error, ValueError):
        return False


def leave_group() -> None:
    """Hear no Ctrl-C of the terminal: the first process does, and says when to stop."""
    if hasattr(os, "setsid"):
        os.setsid()
