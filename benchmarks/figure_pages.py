"""Markers in pages: between them stands what was measured, and nothing else is ever touched.

A figure stands between `<!-- figure: NAME -->` and `<!-- /figure -->`.
"""

import re
from collections.abc import Iterator
from pathlib import Path

from smalti.configs.errors import InputError
from smalti.configs.files import replacing

# Bytes, not text: line ends of a page stay as they are.
LIKE_A_MARKER = re.compile(rb"<!--\s*/?\s*figure\b[^\n>]*>?", re.IGNORECASE)
OPENING = re.compile(rb"<!-- figure: ([a-z0-9-]+) -->")
CLOSING = b"<!-- /figure -->"


def spans(page: Path) -> dict[str, tuple[int, int]]:
    """Where the content of every figure of a page begins and ends, in bytes, by name.

    Raises InputError for a marker that is misspelt, has no partner, stands inside another figure or
    has a name for the second time, and for a page that cannot be read.
    """
    found: dict[str, tuple[int, int]] = {}
    opened: tuple[str, int] | None = None
    for name, match in _markers(page, read(page)):
        if (name == "") == (opened is None):
            raise _broken(page, match, "has no partner")
        if opened is None:
            opened = name, match.end()
        else:
            found[opened[0]], opened = (opened[1], match.start()), None
        if name in found:
            raise _broken(page, match, "is there already")
    if opened:
        raise InputError(f"{page}: the figure {opened[0]} has no {CLOSING.decode()} after it.")
    return found


def _markers(page: Path, content: bytes) -> Iterator[tuple[str, re.Match[bytes]]]:
    """Names of opening markers, and "" for closing ones, in order; raises InputError."""
    for match in LIKE_A_MARKER.finditer(content):
        if match[0] == CLOSING:
            yield "", match
        elif opening := OPENING.fullmatch(match[0]):
            yield opening[1].decode(), match
        else:
            raise _broken(page, match, "is misspelt")


def _broken(page: Path, match: re.Match[bytes], what: str) -> InputError:
    line = match.string.count(b"\n", 0, match.start()) + 1
    shown = match[0].decode(errors="replace")
    return InputError(
        f"{page}, line {line}: {shown} {what}. A figure stands between <!-- figure: NAME --> and "
        f"{CLOSING.decode()}."
    )


def read(page: Path) -> bytes:
    """A page's bytes; raises InputError."""
    try:
        return page.read_bytes()
    except OSError as error:
        raise InputError(f"{page} cannot be read: {error.strerror}.") from error


def write_figure(page: Path, name: str, content: str) -> None:
    """Put `content` between a figure's markers, whole or not at all; raises InputError."""
    span = spans(page).get(name)
    if span is None:
        raise InputError(f"{page} has no <!-- figure: {name} -->.")
    old = read(page)
    new = old[: span[0]] + f"\n\n{content.strip()}\n\n".encode() + old[span[1] :]
    if new != old:
        with replacing(page) as temporary:
            temporary.write_bytes(new)
