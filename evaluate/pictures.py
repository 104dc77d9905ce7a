"""Read what is looked at: pictures, and the tiles of a finished mosaic."""

import re
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageOps
from torch import Tensor

from ..generate.finish import reduced
from ..generate.store import Store
from ..models.pixels import to_image, to_pixels

SIDE = 320  # px of a mosaic on a sheet


def read_images(paths: Iterable[Path]) -> list[Tensor]:
    """Images [3, H, W] in [0, 1], upright, each of its own size."""
    found = []
    for path in paths:
        with Image.open(path) as image:
            found.append(to_image(np.asarray(ImageOps.exif_transpose(image).convert("RGB"))))
    return found


def reference_picture(store: Store) -> Image.Image:
    """The reference of a finished mosaic."""
    picture = store.reference()
    assert picture is not None, "a finished mosaic has its reference"
    return Image.fromarray(to_pixels(picture))


def mosaic_picture(store: Store) -> Image.Image:
    """A mosaic no larger than SIDE, as it is seen from afar: a sheet holds many."""
    picture = Image.fromarray(reduced(store.canvas()))
    picture.thumbnail((SIDE, SIDE), Image.Resampling.LANCZOS)
    return picture


def tile_files(folder: Path) -> list[Path]:
    """The files of a mosaic's tiles, row by row; none where the folder holds no mosaic."""
    files = (folder / "tiles").glob("*.png")
    return sorted(files, key=lambda file: [int(number) for number in re.findall(r"\d+", file.stem)])


def tile_batches(folder: Path, size: int) -> Iterator[Tensor]:
    """A mosaic's tiles row by row in batches [K, 3, H, H] in [0, 1], K at most `size`."""
    files = tile_files(folder)
    for first in range(0, len(files), size):
        yield torch.stack(read_images(files[first : first + size]))


def read_tiles(folder: Path) -> Tensor:
    """All tiles of a mosaic [K, 3, H, H] in [0, 1], row by row."""
    return torch.stack(read_images(tile_files(folder)))
