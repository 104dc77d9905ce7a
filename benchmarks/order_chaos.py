"""Harm done to a run of orders: workers and commands killed, a disk that is full."""

import os
import random
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from smalti.configs.errors import SmaltiError
from smalti.studio.orders.ledger import FILE, Ledger
from smalti.studio.orders.states import CLOSED

PATIENCE = 600.0  # seconds without an order that ends, after which something hangs


@dataclass
class Chaos:
    """What is done to a run, at moments that are drawn before it begins."""

    command: list[str]
    out: Path
    pick: random.Random
    killings: list[tuple[int, str]]
    """After how many closed orders ("worker", "command" or "disk") something happens."""
    orders: int
    """In all."""
    happened: dict[str, int] = field(default_factory=dict)

    def go(self) -> None:
        """Run the command, again after everything that ends it, until the day is done."""
        waiting = sorted(self.killings)
        while True:
            process = subprocess.Popen(self.command, start_new_session=True)
            if waiting:
                waiting = self._harm(process, waiting)
            code = process.wait()
            if code in (0, 1) and self.closed() >= self.orders:
                return

    def _harm(
        self, process: subprocess.Popen, waiting: list[tuple[int, str]]
    ) -> list[tuple[int, str]]:
        """Do what is due while the command runs; returns what is left for the next one."""
        seen = time.monotonic()
        before = -1
        while waiting and process.poll() is None:
            closed = self.closed()
            if closed != before:
                before, seen = closed, time.monotonic()
            if time.monotonic() - seen > PATIENCE:
                process.kill()
                raise SmaltiError(f"Nothing has ended for {PATIENCE:.0f} s.")
            if closed >= waiting[0][0]:
                time.sleep(self.pick.random() * 2)
                if getattr(self, f"_{waiting[0][1]}")(process):
                    self._count(waiting.pop(0)[1])
            time.sleep(0.05)
        return waiting

    def _count(self, what: str) -> None:
        self.happened[what] = self.happened.get(what, 0) + 1

    def closed(self) -> int:
        """Orders that need nothing more."""
        if not (self.out / FILE).is_file():
            return 0
        ledger = Ledger(self.out / FILE)
        try:
            counts = ledger.counts()
        finally:
            ledger.close()
        return sum(counts.get(state, 0) for state in CLOSED)

    def _worker(self, process: subprocess.Popen) -> bool:
        """SIGKILL for a worker that has an order."""
        ledger = Ledger(self.out / FILE)
        rows = ledger.rows("SELECT worker FROM orders WHERE worker IS NOT NULL")
        ledger.close()
        pids = [int(row["worker"].split(":")[-2]) for row in rows]
        alive = [pid for pid in pids if psutil.pid_exists(pid)]
        with suppress(ProcessLookupError):
            if alive:
                os.kill(self.pick.choice(alive), signal.SIGKILL)
        return bool(alive)

    def _command(self, process: subprocess.Popen) -> bool:
        """SIGKILL for the whole command; its workers notice by themselves."""
        process.kill()
        process.wait()
        return True

    def _disk(self, process: subprocess.Popen) -> bool:
        """A full disk, until the command has ended of it."""
        ballast = self.out.parent / "ballast"
        with ballast.open("wb") as file, suppress(OSError):
            while True:
                file.write(bytes(2**20))
        try:
            code = process.wait(PATIENCE)
        finally:
            ballast.unlink()
        if code == 0:
            raise SmaltiError(f"With a full disk the command ended with exit code {code}.")
        return True


@contextmanager
def small_disk(folder: Path, megabytes: int) -> Iterator[bool]:
    """A disk of its own mounted on a folder, where that is allowed; yields whether it is."""
    folder.mkdir(parents=True, exist_ok=True)
    options = ["-t", "tmpfs", "-o", f"size={megabytes}m", "tmpfs", str(folder)]
    if subprocess.run(["mount", *options], capture_output=True).returncode:
        yield False
        return
    try:
        yield True
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)
