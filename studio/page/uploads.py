"""Photos that are dropped on a page: named, written whole, and decoded before they are kept."""

from pathlib import Path

from starlette.datastructures import UploadFile

from ...configs.errors import InputError
from ...configs.files import remove, replacing
from .desk import file_name
from .examine import Examiner, size


async def keep(examiner: Examiner, folder: Path, upload: UploadFile) -> tuple[Path, int, int]:
    """Keep a photo in a folder; returns its path, width and height.

    Raises InputError for one that cannot be decoded, of which nothing stays.
    """
    taken = {path.name for path in folder.iterdir()} if folder.is_dir() else set()
    path = folder / file_name(upload.filename or "photo.jpg", taken)
    data = await upload.read()
    with replacing(path) as temporary:
        temporary.write_bytes(data)
    try:
        width, height = await examiner.ask(size, path)
    except InputError as fault:
        remove(path)
        raise InputError(f"{upload.filename}: {fault}") from fault
    return path, width, height
