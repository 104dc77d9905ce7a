"""Words in any script on paper: a font of this system that has them, or Latin letters instead.

Pillow's own font has ASCII only. No font ships with smalti: one for every script has 20 MB.
"""

import os
import sys
import unicodedata
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from PIL import ImageFont, features

from ...configs.files import user_path
from ..extra import require

SUFFIXES = (".ttf", ".otf", ".ttc")
STYLES = ("bold", "italic", "oblique", "light", "thin", "black", "heavy", "medium", "condensed",
          "mono", "serif", "math", "emoji")  # fmt: skip
PROBE = 20  # px
NOTHING = "\U0010ffff"  # no font has it; what is drawn for it stands for all that is missing


def readable(words: str) -> str:
    """The words themselves where a font here shows them, else in Latin letters.

    Raises InputError where anyascii is needed and missing.
    """
    if font_file(words) is not None:
        return words
    return require("anyascii", "A name in a script that no font here has").anyascii(words)


def font_for(words: str, px: float) -> ImageFont.FreeTypeFont:
    """A font that shows words as `readable` gives them."""
    path = font_file(words)
    found = ImageFont.truetype(path, px) if path else ImageFont.load_default(px)
    assert isinstance(found, ImageFont.FreeTypeFont)
    return found


def font_file(words: str) -> str | None:
    """The file of a font that has all of the words' letters; "" is Pillow's own.

    None where there is none, or where letters join or run from right to left and Pillow has no
    layout engine for it (raqm).
    """
    letters = "".join(sorted({c for c in words if not c.isascii()}))
    if not letters:
        return ""
    if _joins(letters) and not features.check("raqm"):
        return None
    return _file_with(letters)


def _joins(letters: str) -> bool:
    marks = ("Mn", "Mc")
    return any(
        unicodedata.bidirectional(c) in ("R", "AL") or unicodedata.category(c) in marks
        for c in letters
    )


@cache
def _file_with(letters: str) -> str | None:
    return next((path for path in font_files() if _has(path, letters + "a1")), None)


def _has(path: str, letters: str) -> bool:
    """Whether a font draws each letter otherwise than one that it has not."""
    try:
        basic = ImageFont.Layout.BASIC
        font = ImageFont.truetype(path, PROBE, layout_engine=basic)
        missing = bytes(font.getmask(NOTHING))
        seen = (c for c in letters if not c.isspace() and unicodedata.category(c) != "Cf")
        return all(bytes(font.getmask(c)) != missing for c in seen)
    except (OSError, ValueError):  # a font of pictures, or a damaged one
        return False


@cache
def font_files() -> tuple[str, ...]:
    """The fonts of this system, plain and short-named ones first: NotoSans before NotoSansBold."""
    found = {path for folder in _folders() for path in folder.rglob("*") if _is_font(path)}
    return tuple(str(path) for path in sorted(found, key=_plainness))


def _is_font(path: Path) -> bool:
    return path.suffix.lower() in SUFFIXES


def _plainness(path: Path) -> tuple[int, int, str]:
    name = path.stem.lower()
    styles = sum(style in name for style in STYLES) - ("sans" in name)
    return styles, len(name), str(path)


def _folders() -> Iterator[Path]:
    """Where systems keep fonts."""
    if sys.platform == "win32":
        yield Path(os.environ.get("WINDIR", "C:/Windows"), "Fonts")
        yield Path(os.environ.get("LOCALAPPDATA", "~"), "Microsoft/Windows/Fonts")
    elif sys.platform == "darwin":
        yield from map(user_path, ("/System/Library/Fonts", "/Library/Fonts", "~/Library/Fonts"))
    else:
        shared = os.environ.get("XDG_DATA_DIRS") or "/usr/local/share:/usr/share"
        own = os.environ.get("XDG_DATA_HOME") or "~/.local/share"
        yield from (user_path(folder) / "fonts" for folder in (*shared.split(":"), own))
