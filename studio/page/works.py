"""Long work that is a command: started by the page, it is the very command that the page shows.

Each runs in a process of its own, so that it goes on when the browser is closed, and is asked to
stop when the server ends; the same command goes on where it stopped.
"""

import asyncio
import shlex
import signal
import sys
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field

from ...configs.errors import InputError

LINES = 30  # of standard error that are kept
NICENESS = 10


@dataclass
class Work:
    """One command that runs or has run."""

    key: str
    """What it is about, such as "concept/pim"."""
    words: tuple[str, ...]
    """What follows `mosaic`."""
    lines: deque[str] = field(default_factory=lambda: deque(maxlen=LINES))
    process: asyncio.subprocess.Process | None = None
    code: int | None = None
    """Exit code, None while it runs."""

    @property
    def runs(self) -> bool:
        """Whether it is not over."""
        return self.code is None

    @property
    def command(self) -> str:
        """What a person types for the same."""
        return shlex.join(["mosaic", *self.words])

    @property
    def note(self) -> str:
        """The latest that it has said."""
        return self.lines[-1] if self.lines else "starting"

    @property
    def fault(self) -> str:
        """Why it failed, empty where it did not; one that was asked to stop has not."""
        failed = self.code not in (None, 0, 130, -signal.SIGINT, -signal.SIGTERM)
        return "\n".join(list(self.lines)[-3:]) if failed else ""


class Works:
    """The commands that this server has started."""

    def __init__(self) -> None:
        """Nothing runs yet."""
        self._works: dict[str, Work] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    def get(self, key: str) -> Work | None:
        """The latest work about something, over or not."""
        return self._works.get(key)

    def all(self) -> list[Work]:
        """Every work, the latest of each thing."""
        return list(self._works.values())

    async def start(self, key: str, words: Sequence[str]) -> Work:
        """Run `mosaic WORDS`; raises InputError while another command is about the same."""
        old = self._works.get(key)
        if old is not None and old.runs:
            raise InputError("This is being done already; stop it first.")
        work = Work(key, tuple(words))
        self._works[key] = work
        work.process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "smalti.cli.main", *words,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.PIPE,
            start_new_session=True,
        )  # fmt: skip
        _lower(work.process.pid)
        task = asyncio.create_task(self._follow(work))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return work

    async def _follow(self, work: Work) -> None:
        process = work.process
        assert process is not None and process.stderr is not None
        async for line in process.stderr:
            if text := line.decode(errors="replace").strip():
                work.lines.append(text)
        work.code = await process.wait()

    def stop(self, key: str) -> None:
        """Ask a work to save what it has and to end; nothing happens where none runs."""
        work = self._works.get(key)
        if work is not None and work.runs and work.process is not None:
            with suppress(ProcessLookupError):
                work.process.send_signal(signal.SIGINT)

    async def close(self) -> None:
        """Stop all and wait for them."""
        for key in list(self._works):
            self.stop(key)
        await asyncio.gather(*self._tasks, return_exceptions=True)


def _lower(process: int) -> None:
    """Let the page answer first on a machine with few cores."""
    import psutil

    with suppress(psutil.Error, OSError):
        psutil.Process(process).nice(NICENESS)
