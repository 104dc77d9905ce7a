"""From strips of pixels to libvips, which writes files of any size as they come.

libvips reads what it is given while it writes, so that no more than a few strips are in memory. The
strips travel as an uncompressed PNG, a format that its wheels can read from a stream.
"""

import os
import shutil
import struct
import zlib
from collections.abc import Callable, Generator
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import closing
from pathlib import Path
from select import select
from typing import Any

import numpy as np

from ...configs.errors import SmaltiError
from ..extra import require

Strips = Generator[np.ndarray, None, None]
"""8-bit pixels [h, width, 3] of a picture, from its top to its bottom."""
PNG = b"\x89PNG\r\n\x1a\n"
LOOK = 0.1  # seconds between two looks for Ctrl+C
AT_ONCE = 2**18  # bytes
MIN_FREE = 2**20  # bytes; a disk with less is full


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png_stream(size: tuple[int, int], strips: Strips) -> Generator[bytes, None, None]:
    """An uncompressed PNG of (width, height), from strips; they are closed with it."""
    header = struct.pack(">IIBBBBB", *size, 8, 2, 0, 0, 0)
    yield PNG + _chunk(b"IHDR", header)
    packer = zlib.compressobj(0)
    with closing(strips):
        for strip in strips:
            rows = np.zeros((len(strip), 1 + 3 * size[0]), np.uint8)  # each begins: "no filter"
            rows[:, 1:] = strip.reshape(len(strip), -1)
            yield _chunk(b"IDAT", packer.compress(rows.tobytes()))
    yield _chunk(b"IDAT", packer.flush()) + _chunk(b"IEND", b"")


class Feed:
    """Writes a picture into a pipe from which libvips reads; keeps the error that stopped it."""

    def __init__(self, parts: Generator[bytes, None, None]):
        self._parts = parts
        self.source, self._target = os.pipe()
        os.set_blocking(self._target, False)
        self.error: BaseException | None = None
        self.stopped = False

    def run(self) -> None:
        """Write all of it; ends early when nobody reads any more.

        What is left of the parts is closed here and now: they have threads of their own, for which
        garbage collection would wait at any moment, also where a thread is just being started.
        """
        try:
            with closing(self._parts):
                for part in self._parts:
                    self._put(memoryview(part))
        except BrokenPipeError:  # libvips has given up, and says why
            pass
        except BaseException as error:
            self.error = error
        finally:
            os.close(self._target)

    def _put(self, part: memoryview) -> None:
        while part:
            if self.stopped:
                raise BrokenPipeError
            if select([], [self._target], [], LOOK)[1]:
                part = part[os.write(self._target, part[:AT_ONCE]) :]


def write_streamed(
    size: tuple[int, int],
    strips: Strips,
    write: Callable[[Any], None],
    path: Path,
) -> None:
    """Hand the picture of (width, height) that strips make to `write`.

    path: what it becomes, for messages. Raises what the strips raise, KeyboardInterrupt, and
    SmaltiError when libvips cannot write.
    """
    vips = require("pyvips", f"{path.name}")
    feed = Feed(png_stream(size, strips))

    def work() -> None:
        source = vips.Source.new_from_descriptor(feed.source)
        image = vips.Image.new_from_source(source, "", access="sequential", unlimited=True)
        write(image.copy(interpretation="srgb"))

    with ThreadPoolExecutor(2) as pool:  # libvips keeps its caller from hearing Ctrl+C
        running, feeding = pool.submit(work), pool.submit(feed.run)
        try:
            while not running.done():
                wait([running], timeout=LOOK)
        finally:
            feed.stopped = True
            wait([running, feeding])
            os.close(feed.source)
    if feed.error:
        raise feed.error
    try:
        running.result()
    except vips.Error as error:
        raise explain_vips(error, path) from error


def explain_vips(error: Exception, path: Path) -> SmaltiError:
    """What libvips reports, in one line; a full disk is called so."""
    detail = " ".join(str(getattr(error, "detail", error)).split())
    if "space" in detail.lower() or shutil.disk_usage(path.parent).free < MIN_FREE:
        return SmaltiError(
            f"The disk is full: {path} was not written. Free some space and run the same command "
            "again."
        )
    return SmaltiError(f"{path} was not written: {detail[:200]}")
