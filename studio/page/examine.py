"""Uploaded pictures are decoded in a process of their own, with limits on memory and time.

What a decoder does with a bomb or a broken file happens there; the server says what went wrong and
goes on.
"""

import asyncio
import os
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import suppress
from io import BytesIO
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from ...configs.errors import InputError

SECONDS = 40  # that decoding may take
MEMORY = 6 * 2**30  # bytes of address space
KEPT = 600  # thumbnails, about 20 kB each
NICENESS = 5
QUALITY = 82


class Examiner:
    """Looks at pictures for as long as the server runs."""

    def __init__(self) -> None:
        """Start no process yet."""
        self._pool: ProcessPoolExecutor | None = None
        self._kept: OrderedDict[tuple[Any, ...], bytes] = OrderedDict()

    async def ask(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """What a module's function returns of a file; raises what it raises.

        Raises InputError when it takes too long, or when its process dies of the file.
        """
        if self._pool is None:
            context = get_context("spawn")
            self._pool = ProcessPoolExecutor(1, mp_context=context, initializer=_limit)
        asked = asyncio.wrap_future(self._pool.submit(function, *arguments))
        try:
            return await asyncio.wait_for(asked, SECONDS)
        except (TimeoutError, BrokenProcessPool, MemoryError) as error:
            self.close()
            raise InputError("This file cannot be decoded here; save it as JPEG.") from error

    async def thumbnail(self, path: Path, side: int) -> bytes:
        """A JPEG of at most `side` px a side, kept as long as the file stays as it is."""
        facts = path.stat()
        key = (path, facts.st_mtime_ns, facts.st_size, side)
        if key not in self._kept:
            self._kept[key] = await self.ask(thumbnail, path, side)
            if len(self._kept) > KEPT:
                self._kept.popitem(last=False)
        self._kept.move_to_end(key)
        return self._kept[key]

    def close(self) -> None:
        """End the process, whatever it is at."""
        if self._pool is None:
            return
        pool, self._pool = self._pool, None
        for process in list(getattr(pool, "_processes", {}).values()):
            process.kill()
        pool.shutdown(wait=False, cancel_futures=True)


def _limit() -> None:
    with suppress(OSError, AttributeError):
        os.nice(NICENESS)
    with suppress(ImportError, ValueError, OSError):
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))


def thumbnail(path: Path, side: int) -> bytes:
    """A JPEG of a picture of any kind, upright, in sRGB, on white."""
    from PIL import Image

    from ...models.photos import naming, read_photo
    from ...models.pixels import flatten

    with naming(path, "picture"):
        image = flatten(read_photo(path, smallest=1))[0]
    image.thumbnail((side, side), Image.Resampling.LANCZOS)
    stream = BytesIO()
    image.convert("RGB").save(stream, "JPEG", quality=QUALITY)
    return stream.getvalue()


def size(path: Path) -> tuple[int, int]:
    """Width and height of a picture, upright; decodes it."""
    from ...models.photos import naming, read_photo

    with naming(path, "picture"):
        return read_photo(path).size
