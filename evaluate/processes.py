"""Work in a process of its own: its answer, its errors, and the most memory that it held.

What is drawn there has a peak of its own, and one that fails takes nothing along.
"""

import signal
from collections.abc import Callable, Sequence
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from ..configs.errors import SmaltiError

Runner = Callable[..., Any]
"""Calls a function with arguments, here or in another process, and returns what it returns."""
# Linux: unlike getrusage's, this peak does not begin with that of the process that started us.
STATUS = Path("/proc/self/status")


def run_in_subprocess(function: Callable[..., Any], *arguments: Any) -> Any:
    """Call a picklable function in a fresh process; raises what it raises.

    Raises SmaltiError when the process ends without an answer. When the caller is interrupted, the
    process is ended with it.
    """
    context = get_context("spawn")
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=_send_result, args=(sender, function, arguments), daemon=True)
    process.start()
    sender.close()
    try:
        succeeded, result = receiver.recv()
    except EOFError:
        process.join()
        raise SmaltiError(_exit_message(process.exitcode or 0)) from None
    except BaseException:
        process.terminate()
        raise
    finally:
        process.join()
    if not succeeded:
        raise result
    return result


def _send_result(pipe: Connection, function: Callable[..., Any], arguments: Sequence[Any]) -> None:
    """The other process: Ctrl-C ends it without a word, for the first one has the message."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    try:
        pipe.send((True, function(*arguments)))
    except SmaltiError as error:
        pipe.send((False, error))


def _exit_message(code: int) -> str:
    if code == -signal.SIGKILL:
        return "The process that drew was killed, usually for want of memory; take --set mosaic."\
               "batch_size=1 or a smaller --grid, and run the same command again."  # fmt: skip
    return (
        f"The process that drew ended with exit code {code}; what it said stands above. What was "
        "finished is kept, and the same command goes on from there."
    )


def peak_memory(device: str) -> int:
    """Most bytes this process has held so far: of torch's allocator on a GPU, else resident."""
    if device == "cuda":
        import torch

        return torch.cuda.max_memory_allocated()
    if STATUS.is_file():
        (line,) = (row for row in STATUS.read_text().splitlines() if row.startswith("VmHWM:"))
        return int(line.split()[1]) * 1024
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss  # macOS, where it is in bytes
