"""Reads Qt resource archives (.rcc), the format of Qt's `rcc --binary`, versions 1 to 3.

Layout, all numbers big-endian: the header "qres", version, offsets of tree, data and names. A tree
node is (name offset, flags, then children count and first child, or locale and data offset, and
from version 2 on a time stamp). A name is (length in UTF-16 units, hash, UTF-16 text). Data is
preceded by its length; compressed data begins with the length it will have.
"""

import struct
import zlib
from collections.abc import Iterator
from pathlib import Path

from ...configs.errors import SmaltiError

ZLIB, FOLDER, ZSTD = 1, 2, 4
"""Flags of a node."""


def read_rcc(path: Path) -> dict[str, bytes]:
    """The files of an archive by path, such as "/gcompris/src/details/README".

    Files compressed with zstd are left out.

    Raises:
        SmaltiError: the file is not a resource archive or is damaged.
    """
    archive = path.read_bytes()
    if archive[:4] != b"qres":
        raise SmaltiError(f"{path} is not a Qt resource archive.")
    try:
        return dict(_Archive(archive).files())
    except (struct.error, zlib.error, IndexError) as error:
        raise SmaltiError(f"{path} is damaged ({error}); fetch its package again.") from error


class _Archive:
    def __init__(self, archive: bytes):
        self.archive = archive
        version, self.tree, self.data, self.names = struct.unpack_from(">4I", archive, 4)
        self.node_size = 14 if version < 2 else 22

    def files(self, index: int = 0, folder: str = "") -> Iterator[tuple[str, bytes]]:
        """Paths and contents below the folder node `index`."""
        _, _, count, first = struct.unpack_from(">IHII", self.archive, self._node(index))
        for child in range(first, first + count):
            name, flags = struct.unpack_from(">IH", self.archive, self._node(child))
            path = f"{folder}/{self._name(name)}"
            if flags & FOLDER:
                yield from self.files(child, path)
            elif not flags & ZSTD:
                yield path, self._content(child, flags)

    def _node(self, index: int) -> int:
        return self.tree + index * self.node_size

    def _name(self, offset: int) -> str:
        start = self.names + offset
        (length,) = struct.unpack_from(">H", self.archive, start)
        return self.archive[start + 6 : start + 6 + 2 * length].decode("utf-16-be")

    def _content(self, index: int, flags: int) -> bytes:
        (offset,) = struct.unpack_from(">I", self.archive, self._node(index) + 10)
        start = self.data + offset
        (length,) = struct.unpack_from(">I", self.archive, start)
        content = self.archive[start + 4 : start + 4 + length]
        return zlib.decompress(content[4:]) if flags & ZLIB else content
