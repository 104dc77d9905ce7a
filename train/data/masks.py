"""Masks that are missing, found by a segmentation network in an ONNX file (BiRefNet, MIT)."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from ...configs.errors import InputError
from ...configs.files import replacing
from ...configs.progress import Report, silent
from ...models.concept_files import MASK_SUFFIX, concept_files
from ...models.photos import naming, read_photo
from ...models.pixels import flatten

if TYPE_CHECKING:
    from collections.abc import Iterator

HUB_ID, HUB_FILE = "onnx-community/BiRefNet-ONNX", "onnx/model.onnx"
SIDE = 1024
"""Pixels a side that BiRefNet sees (Zheng et al. 2024); a file that says another is followed."""
MEAN, DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # ImageNet's

Segmenter = Callable[[Image.Image], Image.Image]
"""From an RGB photo to its mask in the same size, mode L."""


def fill_masks(folder: Path, segment: Segmenter, report: Report = silent) -> list[Path]:
    """Write NAME.mask.png for each photo that has no mask and is no cut-out; returns the files.

    Never over a file that is there. Raises InputError for a photo that cannot be read.
    """
    written = []
    todo = list(_unmasked(folder))
    for index, photo in enumerate(todo, 1):
        with naming(photo, "photo"):
            image, alpha = flatten(read_photo(photo))
        target = photo.with_name(photo.stem + MASK_SUFFIX)
        if alpha is None and not target.exists():
            with replacing(target) as temporary:
                segment(image).save(temporary, format="PNG")
            written.append(target)
        report(index, len(todo), photo.name)
    return written


def _unmasked(folder: Path) -> "Iterator[Path]":
    files = concept_files(folder)
    yield from (photo for photo in files.photos if not files.masks_of(photo))


def open_segmenter(model: Path | None = None) -> Segmenter:
    """The network in an ONNX file, or BiRefNet from the hub's cache.

    Raises InputError where onnxruntime or the file are missing, and says what to type.
    """
    runtime = _runtime()
    path = model or _cached()
    if path is None:
        raise InputError(
            f"BiRefNet is not on this machine. Type: hf download {HUB_ID} {HUB_FILE} (0.9 GB), or "
            "give --model FILE.onnx."
        )
    if not path.is_file():
        raise InputError(f"The network {path} does not exist; give an ONNX file.")
    try:
        session = runtime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    except Exception as error:  # the runtime's own classes
        raise InputError(f"{path} is no ONNX network ({str(error)[:80]}).") from error
    return lambda photo: _segmented(session, photo)


def _runtime() -> Any:
    try:
        import onnxruntime
    except ImportError as error:
        raise InputError(
            "Masks need onnxruntime, which is not installed. Type: pip install 'smalti[data]'"
        ) from error
    return onnxruntime


def _cached() -> Path | None:
    from huggingface_hub import try_to_load_from_cache

    found = try_to_load_from_cache(HUB_ID, HUB_FILE)
    return Path(found) if isinstance(found, str) else None


def _segmented(session: Any, photo: Image.Image) -> Image.Image:
    """The mask of an RGB photo: the sigmoid of the network's last output, scaled back."""
    entry = session.get_inputs()[0]
    side = entry.shape[-1] if isinstance(entry.shape[-1], int) else SIDE
    kind = np.float16 if "float16" in entry.type else np.float32
    small = photo.resize((side, side), Image.Resampling.BILINEAR)
    pixels = (np.asarray(small, np.float32) / 255 - MEAN) / DEVIATION
    seen = np.ascontiguousarray(pixels.transpose(2, 0, 1)[None]).astype(kind)
    logits = session.run(None, {entry.name: seen})[-1].astype(np.float32).reshape(side, -1)
    share = 1 / (1 + np.exp(-np.clip(logits, -50, 50)))
    mask = Image.fromarray((255 * share).round().astype(np.uint8))
    return mask.resize(photo.size, Image.Resampling.BILINEAR)
