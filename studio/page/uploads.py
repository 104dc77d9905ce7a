"""What is dropped on a page: named, written whole, and looked at before it is kept."""

import asyncio
import shutil
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any

from starlette.datastructures import UploadFile

from ...configs.errors import InputError
from ...configs.files import remove, replacing
from ...models.concept_files import IMAGE_SUFFIXES
from .desk import LORA_SUFFIX, file_name
from .examine import Examiner, Lora, lora, size


async def keep(examiner: Examiner, folder: Path, upload: UploadFile) -> tuple[Path, int, int]:
    """Keep a photo in a folder; returns its path, width and height.

    Raises InputError for one that cannot be decoded, of which nothing stays.
    """
    path, (width, height) = await _keep(examiner, folder, upload, IMAGE_SUFFIXES, size)
    return path, width, height


async def keep_lora(examiner: Examiner, folder: Path, upload: UploadFile) -> tuple[Path, Lora]:
    """Keep a LoRA file in a folder; raises InputError for one that is none, and keeps nothing."""
    return await _keep(examiner, folder, upload, (LORA_SUFFIX,), lora)


async def _keep(
    examiner: Examiner,
    folder: Path,
    upload: UploadFile,
    endings: Collection[str],
    look: Callable[[Path], Any],
) -> tuple[Path, Any]:
    """The path of what was kept, and what `look` saw in it."""
    taken = {path.name for path in folder.iterdir()} if folder.is_dir() else set()
    path = folder / file_name(upload.filename or "", taken, endings)
    with replacing(path) as temporary, temporary.open("wb") as target:
        await asyncio.to_thread(shutil.copyfileobj, upload.file, target)
    try:
        return path, await examiner.ask(look, path)
    except InputError as fault:
        remove(path)
        raise InputError(f"{upload.filename}: {fault}") from fault
