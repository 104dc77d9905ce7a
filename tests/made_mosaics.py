"""Finished mosaics that nobody drew: given pixels in a folder as `mosaic-gen` leaves it."""

import json
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

from smalti.configs.mosaic import mosaic_settings
from smalti.configs.settings import Settings, as_tables


def noise(row: int, col: int, side: int) -> np.ndarray:
    """Smooth noise of its own for each tile, 8-bit [side, side, 3]."""
    coarse = np.random.default_rng([row, col]).integers(0, 256, (4, 4, 3), np.uint8)
    return np.asarray(Image.fromarray(coarse).resize((side, side), Image.Resampling.BICUBIC))


def made_mosaic(
    folder: Path,
    rows: int,
    cols: int,
    tile: int = 32,
    pixels: Callable[[int, int, int], np.ndarray] = noise,
    **options,
) -> Path:
    """A finished mosaic's folder; `options` are mosaic settings, such as the reference photo."""
    (folder / "tiles").mkdir(parents=True)
    facts = {}
    for row in range(rows):
        for col in range(cols):
            name = f"r{row:02d}_c{col:02d}"
            Image.fromarray(pixels(row, col, tile)).save(folder / "tiles" / f"{name}.png")
            prompt = f"a <concept> & number {col}"
            facts[name] = {"seed": row, "prompt": prompt, "concept": "concepts/sylvie"}
    Image.fromarray(noise(9, 9, 64)).resize((8 * cols, 8 * rows)).save(folder / "reference.png")
    finish_record(folder, rows, cols, tile, facts, **options)
    return folder


def finish_record(folder: Path, rows: int, cols: int, tile: int, facts: dict, **options) -> None:
    """Write the mosaic.json of a finished mosaic."""
    options = {"tile_prompt": ("a <concept>",), **options}
    settings = Settings(
        mosaic=mosaic_settings(grid=f"{rows}x{cols}", tile_size=tile, seed=0, **options)
    )
    record = {
        "format": 2, "state": "finished", "identity": {}, "settings": as_tables(settings),
        "tiles": facts,
    }  # fmt: skip
    (folder / "mosaic.json").write_text(json.dumps(record))


def large_mosaic(folder: Path, rows: int, cols: int, tile: int) -> Path:
    """A finished mosaic of many tiles that are links to a few files."""
    made_mosaic(folder, 3, 3, tile)
    sources = sorted((folder / "tiles").iterdir())
    for row in range(rows):
        for col in range(cols):
            path = folder / "tiles" / f"r{row:02d}_c{col:02d}.png"
            if not path.exists():
                os.link(sources[(row * 7 + col) % len(sources)], path)
    finish_record(folder, rows, cols, tile, {})
    return folder


def canvas_of(folder: Path, rows: int, cols: int) -> np.ndarray:
    """All tiles put together, [rows*tile, cols*tile, 3]."""
    tiles = [
        [np.asarray(Image.open(folder / "tiles" / f"r{row:02d}_c{col:02d}.png"))
         for col in range(cols)]
        for row in range(rows)
    ]  # fmt: skip
    return np.concatenate([np.concatenate(line, axis=1) for line in tiles])
