"""Files that systems and programs leave in folders, which are nobody's order."""

from pathlib import Path

NAMES = frozenset(
    ("thumbs.db", "ehthumbs.db", "desktop.ini", "icon\r", "__macosx", "@eadir", "#recycle")
    + ("$recycle.bin", "system volume information", "reason.txt")
)
STARTS = (".", "~$", "~")
"""The first also of "._photo.jpg", a Mac's notes on photo.jpg, and of what smalti itself writes."""
UNFINISHED = (
    ".part", ".partial", ".crdownload", ".download", ".filepart", ".tmp", ".temp", ".opdownload",
)  # fmt: skip


def is_litter(name: str) -> bool:
    """Whether a file or folder of this name belongs to no order."""
    return name.startswith(STARTS) or name.lower() in NAMES or is_unfinished(name)


def is_unfinished(name: str) -> bool:
    """Whether a file of this name is still being copied."""
    return Path(name).suffix.lower() in UNFINISHED
