"""Pictures and records on disk: written whole or not at all."""

import json
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, PngImagePlugin

from ..configs.files import replacing, write_text


def write_png(path: Path, pixels: np.ndarray, text: dict[str, str], xmp: str = "") -> None:
    """Write 8-bit pixels [H, W, 3] as a PNG with text chunks and, if given, an XMP packet."""
    chunks = PngImagePlugin.PngInfo()
    for key, value in text.items():
        chunks.add_text(key, value) if value.isascii() else chunks.add_itxt(key, value)
    if xmp:
        chunks.add_itxt("XML:com.adobe.xmp", xmp)
    with replacing(path) as temporary:
        Image.fromarray(pixels).save(temporary, format="PNG", pnginfo=chunks)


def read_json(path: Path) -> dict[str, Any] | None:
    """The JSON object in a file, None when there is no such file or no object in it."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) else None


def write_json(path: Path, value: Any) -> None:
    """Write a value as indented JSON."""
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False) + "\n")
