"""What customers send: photos, tickets in folders, and rows of a CSV."""

from pathlib import Path

import numpy as np
from PIL import Image


def photo(path: Path, seed: int = 0, side: int = 64) -> Path:
    """A photo of noise, another one for each seed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 256, (8, 8, 3), np.uint8)
    Image.fromarray(pixels).resize((side, side)).save(path)
    return path


def photos(folder: Path, count: int = 3) -> Path:
    """A folder of photos that can be trained."""
    for number in range(count):
        photo(folder / f"p{number}.png", number)
    return folder


def trained(concepts: Path, name: str) -> Path:
    """A concept whose adapter is there, as far as its name goes."""
    folder = photos(concepts / name)
    (folder / "edlora.safetensors").write_bytes(b"")
    return folder


def order_folder(folder: Path, text: str = "") -> Path:
    """An order's folder with a ticket and a picture; `text` are more lines of the ticket."""
    photo(folder / "a.png")
    lines = [f'reference = "{folder.name}"', 'picture = "a.png"', 'tile_prompts = ["red"]', text]
    (folder / "order.toml").write_text("\n".join(lines), encoding="utf-8")
    return folder
