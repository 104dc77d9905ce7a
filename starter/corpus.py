"""The corpus in memory: RGBA pictures as one tensor, captions and tags as columns."""

import hashlib
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from ..configs.errors import InputError
from ..configs.files import replacing
from .recipe_settings import CorpusSettings

TEXT_COLUMNS = ("caption", "alt", "tags", "style", "source", "group", "kind")
OPAQUE_COVERAGE = 0.985


@dataclass
class Corpus:
    """Pictures and their texts.

    `images` is uint8 `[N, 4, S, S]`, RGB premultiplied by alpha; `small` the same at half size, so
    that shrinking a picture to a third does not alias. `texts` maps a column to N strings, where
    `alt` and `tags` are separated by "|", and "digest" to the first 8 hex digits of the SHA-256 of
    each picture's file, by which `subjects.toml` can name it.
    """

    images: Tensor
    small: Tensor
    texts: dict[str, list[str]]
    opaque: np.ndarray
    held_out: np.ndarray

    def __len__(self) -> int:
        return len(self.opaque)

    def names(self, index: int) -> list[str]:
        """Caption and alternative captions of one picture, the main one first."""
        alternatives = [a for a in self.texts["alt"][index].split("|") if a]
        return list(dict.fromkeys([self.texts["caption"][index], *alternatives]))


def load_corpus(
    settings: CorpusSettings, work: Path, device: torch.device | str = "cpu"
) -> Corpus:
    """Read the parquet; decoded pictures are kept in `work/corpus.npy` for the next stage.

    The pictures lie on `device`, where 19 thousand of them take 1.6 GB.

    Raises InputError when the parquet is missing or lacks a column.
    """
    from datasets import Dataset, Image

    path = Path(settings.parquet)
    if not path.is_file():
        raise InputError(
            f"No corpus at {path}. Build it: python -m smalti.starter.sources {path}"
        )
    rows = Dataset.from_parquet(str(path), cache_dir=str(work / "cache"))
    missing = {*TEXT_COLUMNS, "image", "coverage"} - set(rows.column_names)
    if missing:
        raise InputError(f"{path} lacks the column(s) {', '.join(sorted(missing))}.")
    encoded = rows.cast_column("image", Image(decode=False))["image"]
    images = _decoded(encoded, settings.resolution, work / "corpus.npy")
    texts = {name: [value or "" for value in rows[name]] for name in TEXT_COLUMNS}
    texts["digest"] = [hashlib.sha256(item["bytes"]).hexdigest()[:8] for item in encoded]
    opaque = np.asarray(rows["coverage"]) > OPAQUE_COVERAGE
    order = np.random.default_rng([settings.seed, 1]).permutation(len(images))
    held_out = np.sort(order[: min(settings.held_out, len(images) // 10)])
    pictures = torch.from_numpy(images).to(device)
    return Corpus(pictures, _halved(pictures), texts, opaque, held_out)


def _decoded(encoded: list[dict], size: int, cache: Path) -> np.ndarray:
    """All pictures as premultiplied uint8 `[N, 4, size, size]`, through a cache file."""
    if cache.is_file():
        stored = np.load(cache)
        if stored.shape == (len(encoded), 4, size, size):
            return stored
    with ThreadPoolExecutor() as pool:
        images = np.stack(list(pool.map(lambda item: _premultiplied(item["bytes"], size), encoded)))
    with replacing(cache) as temporary, temporary.open("wb") as file:
        np.save(file, images)
    return images


def _premultiplied(data: bytes, size: int) -> np.ndarray:
    """One encoded RGBA picture as premultiplied uint8 `[4, size, size]`."""
    import io

    from PIL import Image

    picture = Image.open(io.BytesIO(data)).convert("RGBa")
    if picture.size != (size, size):
        picture = picture.resize((size, size), Image.Resampling.LANCZOS)
    return np.asarray(picture).transpose(2, 0, 1)


def _halved(images: Tensor) -> Tensor:
    """Area-averaged pictures at half the size, uint8."""
    parts = [F.avg_pool2d(part.float(), 2).round().byte() for part in images.split(512)]
    return torch.cat(parts)
