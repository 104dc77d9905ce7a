"""From strips of pixels to libvips, which writes files of any size as they come.

libvips reads what it is given while it writes, so that no more than a few strips are in memory. The
strips travel as an uncompressed PNG, a format that its wheels can read from a stream.
"""

import struct
import zlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from pathlib import Path
from typing import Any

import numpy as np

from ...configs.errors import SmaltiError
from ..extra import require

PNG = b"\x89PNG\r\n\x1a\n"
LOOK = 0.1  # seconds between two looks for Ctrl+C
MIN_FREE = 2**20  # bytes; a disk with less is full


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png_stream(size: tuple[int, int], strips: Iterator[np.ndarray]) -> Iterator[bytes]:
    """An uncompressed PNG of (width, height), from strips of 8-bit pixels [h, width, 3]."""
    header = struct.pack(">IIBBBBB", *size, 8, 2, 0, 0, 0)
    yield PNG + _chunk(b"IHDR", header)
    packer = zlib.compressobj(0)
    for strip in strips:
        rows = np.zeros((len(strip), 1 + 3 * size[0]), np.uint8)  # each begins with "no filter"
        rows[:, 1:] = strip.reshape(len(strip), -1)
        yield _chunk(b"IDAT", packer.compress(rows.tobytes()))
    yield _chunk(b"IDAT", packer.flush()) + _chunk(b"IEND", b"")


class Feed:
    """What libvips reads from; keeps the error that stopped it, which libvips would swallow."""

    def __init__(self, size: tuple[int, int], strips: Iterator[np.ndarray]):
        self._parts = png_stream(size, strips)
        self._left = memoryview(b"")
        self.error: BaseException | None = None
        self.stopped = False

    def read(self, wanted: int) -> bytes:
        """The next bytes, at most as many as wanted; none at the end."""
        try:
            if self.stopped or self.error:
                return b""
            if not self._left:
                self._left = memoryview(next(self._parts, b""))
        except BaseException as error:  # libvips' thread must not swallow any
            self.error = error
            return b""
        part, self._left = bytes(self._left[:wanted]), self._left[wanted:]
        return part


def write_streamed(
    size: tuple[int, int],
    strips: Iterator[np.ndarray],
    write: Callable[[Any], None],
    path: Path,
) -> None:
    """Hand the picture of (width, height) that strips make to `write`, which writes `path`.

    Raises what the strips raise, KeyboardInterrupt, and SmaltiError when libvips cannot write.
    """
    vips = require("pyvips", f"{path.name}")
    feed = Feed(size, strips)

    def work() -> None:
        source = vips.SourceCustom()
        source.on_read(feed.read)
        image = vips.Image.new_from_source(source, "", access="sequential", unlimited=True)
        write(image.copy(interpretation="srgb"))

    with ThreadPoolExecutor(1) as pool:  # libvips keeps its caller from hearing Ctrl+C
        running = pool.submit(work)
        try:
            while not running.done():
                wait([running], timeout=LOOK)
        finally:
            feed.stopped = True
    if feed.error:
        raise feed.error
    try:
        running.result()
    except vips.Error as error:
        raise explain_vips(error, path) from error


def explain_vips(error: Exception, path: Path) -> SmaltiError:
    """What libvips reports, in one line; a full disk is called so."""
    import shutil

    detail = " ".join(str(getattr(error, "detail", error)).split())
    if "space" in detail.lower() or shutil.disk_usage(path.parent).free < MIN_FREE:
        return SmaltiError(
            f"The disk is full: {path} was not written. Free some space and run the same command "
            "again."
        )
    return SmaltiError(f"{path} was not written: {detail[:200]}")
