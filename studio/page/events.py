"""What has changed, told to every open page, so that two of them show the same.

The folders are looked at twice a second, whoever writes to them: this page, another one or a
command. Nothing is looked at while no page is open.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from hashlib import sha1
from typing import Any

SECONDS = 0.5

Snapshot = Callable[[], Mapping[str, Any]]
"""Takes a look: what each topic looks like now, in any form that can be compared."""


def topic(kind: str, name: str = "") -> str:
    """A name for what a page shows, safe in HTML: names of folders are not."""
    return f"{kind}-{sha1(name.encode()).hexdigest()[:12]}" if name else kind


class Changes:
    """Looks for changes for as long as somebody listens."""

    def __init__(self, snapshot: Snapshot) -> None:
        """snapshot: is called in another thread, and must not change anything."""
        self._snapshot = snapshot
        self._listeners: set[asyncio.Queue[str]] = set()
        self._task: asyncio.Task[None] | None = None

    async def listen(self) -> AsyncIterator[str]:
        """The topics that have changed, as they do."""
        queue: asyncio.Queue[str] = asyncio.Queue(maxsize=1000)
        self._listeners.add(queue)
        if self._task is None:
            self._task = asyncio.create_task(self._look())
        try:
            while True:
                yield await queue.get()
        finally:
            self._listeners.discard(queue)

    async def _look(self) -> None:
        seen = await asyncio.to_thread(self._snapshot)
        while self._listeners:
            await asyncio.sleep(SECONDS)
            now = await asyncio.to_thread(self._snapshot)
            for name in {*seen, *now}:
                if seen.get(name) != now.get(name):
                    self._tell(name)
            seen = now
        self._task = None

    def _tell(self, name: str) -> None:
        for queue in self._listeners:
            if not queue.full():
                queue.put_nowait(name)
