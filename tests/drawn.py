"""What tests look at in a mosaic's folder."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from smalti.configs.mosaic import changed
from smalti.configs.settings import Settings


def change(settings: Settings, **options: Any) -> Settings:
    """The settings with some of the mosaic's changed."""
    return replace(settings, mosaic=changed(settings.mosaic, **options))


def tiles_of(folder: Path) -> dict[str, bytes]:
    """The files of all tiles by name."""
    return {path.name: path.read_bytes() for path in sorted((folder / "tiles").iterdir())}


def pixels_of(folder: Path) -> dict[str, np.ndarray]:
    """The 8-bit pixels of all tiles by name, as integers that can be subtracted."""
    paths = sorted((folder / "tiles").iterdir())
    return {path.name: np.asarray(Image.open(path)).astype(int) for path in paths}


def record_of(folder: Path) -> dict[str, Any]:
    """The content of mosaic.json."""
    return json.loads((folder / "mosaic.json").read_text())


def edit_record(folder: Path, **facts: Any) -> None:
    """Put other facts into mosaic.json."""
    write_record(folder, record_of(folder) | facts)


def write_record(folder: Path, record: dict[str, Any]) -> None:
    """Put another record into mosaic.json."""
    (folder / "mosaic.json").write_text(json.dumps(record))
