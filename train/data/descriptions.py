"""Captions that are missing, written by BLIP (Li et al. 2022, BSD-3-Clause)."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from ...configs.errors import InputError
from ...configs.files import write_text
from ...configs.progress import Report, silent
from ...models.concept_files import concept_files
from ...models.photos import naming, read_photo
from ...models.pixels import flatten
from ...models.words import CONCEPT

HUB_ID = "Salesforce/blip-image-captioning-base"
MAX_TOKENS = 30
DRAWINGS = re.compile(r"^(?:arafed|araffe)\s+", re.IGNORECASE)  # words that BLIP makes up

Captioner = Callable[[Image.Image], str]
"""From an RGB photo to one line about it."""


def fill_captions(
    folder: Path, describe: Captioner, class_word: str, report: Report = silent
) -> list[Path]:
    """Write NAME.txt for each photo that has no caption; returns the files.

    Never over a file that is there. Raises InputError for a photo that cannot be read.
    """
    files = concept_files(folder)
    todo = [photo for photo in files.photos if not files.captions_of(photo)]
    written = []
    for index, photo in enumerate(todo, 1):
        with naming(photo, "photo"):
            image = flatten(read_photo(photo))[0]
        target = photo.with_suffix(".txt")
        if not target.exists():
            write_text(target, with_concept(describe(image), class_word) + "\n")
            written.append(target)
        report(index, len(todo), photo.name)
    return written


def with_concept(caption: str, class_word: str) -> str:
    """A caption in which the concept stands: for its class word, or in front.

    "a girl with white hair" of the class "girl" becomes "a <concept> with white hair".
    """
    text = DRAWINGS.sub("a ", " ".join(caption.split()))
    pattern = rf"\b{re.escape(class_word)}\b" if class_word else r"(?!)"
    replaced, count = re.subn(pattern, CONCEPT, text, count=1, flags=re.IGNORECASE)
    return replaced if count else f"a {CONCEPT}, {text}".rstrip(", ")


def open_captioner(folder: Path | None = None, device: str = "cpu") -> Captioner:
    """BLIP from a folder, or from the hub's cache.

    Raises InputError where it is not on this machine, and says what to type.
    """
    found = folder or _cached()
    if found is None or not (found / "config.json").is_file():
        where = f"{folder} holds no BLIP" if folder else "BLIP is not on this machine"
        raise InputError(f"{where}. Type: hf download {HUB_ID} (1 GB), or give --model FOLDER.")
    from transformers import AutoTokenizer, BlipForConditionalGeneration
    from transformers.utils.logging import disable_progress_bar

    disable_progress_bar()
    try:
        model = BlipForConditionalGeneration.from_pretrained(found).to(device).eval()
        tokenizer = AutoTokenizer.from_pretrained(found)
    except (OSError, ValueError) as error:
        raise InputError(f"{found} holds no BLIP ({str(error)[:80]}).") from error
    return lambda photo: _described(model, tokenizer, photo)


def _cached() -> Path | None:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import LocalEntryNotFoundError

    try:
        return Path(snapshot_download(HUB_ID, local_files_only=True))
    except LocalEntryNotFoundError:
        return None


def _described(model: Any, tokenizer: Any, photo: Image.Image) -> str:
    """The likeliest line about an RGB photo, without randomness."""
    import torch

    # CLIP's mean and deviation, as BLIP's own preprocessor has them.
    mean, deviation = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)
    side = model.config.vision_config.image_size
    small = photo.resize((side, side), Image.Resampling.BICUBIC)
    pixels = (np.asarray(small, np.float32) / 255 - mean) / deviation
    seen = torch.from_numpy(pixels.transpose(2, 0, 1)[None].copy()).float().to(model.device)
    with torch.no_grad():
        ids = model.generate(pixel_values=seen, max_new_tokens=MAX_TOKENS, do_sample=False)
    return tokenizer.decode(ids[0], skip_special_tokens=True)
