"""What is uploaded is looked at in a process of its own, with limits on memory and time.

What a decoder does with a bomb or a broken file happens there; the server says what went wrong and
goes on.
"""

import asyncio
import os
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import suppress
from dataclasses import dataclass
from io import BytesIO
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from ...configs.base import BaseSettings
from ...configs.errors import InputError

SECONDS = 40  # that decoding may take
MEMORY = 6 * 2**30  # bytes of address space
KEPT = 600  # thumbnails, about 20 kB each
NICENESS = 5
QUALITY = 82
DARKER = 0.6  # of black, over what a crop leaves out


class Examiner:
    """Looks at pictures for as long as the server runs."""

    def __init__(self) -> None:
        """Start no process yet."""
        self._pool: ProcessPoolExecutor | None = None
        self._turn = asyncio.Lock()  # so that a file is not charged with the time of others
        self._kept: OrderedDict[tuple[Any, ...], Any] = OrderedDict()

    async def ask(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """What a module's function returns of a file; raises what it raises.

        Raises InputError when it takes too long, or when its process dies of the file.
        """
        async with self._turn:
            try:
                pool = self._pool or await self._open()
                asked = asyncio.wrap_future(pool.submit(function, *arguments))
                return await asyncio.wait_for(asked, SECONDS)
            except (TimeoutError, BrokenProcessPool, MemoryError) as error:
                self.close()
                raise InputError("This file cannot be decoded here; save it as JPEG.") from error

    async def _open(self) -> ProcessPoolExecutor:
        """Start the process, and wait until it is there."""
        context = get_context("spawn")
        self._pool = ProcessPoolExecutor(1, mp_context=context, initializer=_limit)
        await asyncio.wrap_future(self._pool.submit(os.getpid))
        return self._pool

    async def thumbnail(self, path: Path, side: int) -> bytes:
        """A JPEG of at most `side` px a side, kept as long as the file stays as it is."""
        facts = path.stat()
        return await self.once((facts.st_mtime_ns, facts.st_size), thumbnail, path, side)

    async def once(self, state: object, function: Callable[..., Any], *arguments: Any) -> Any:
        """What `ask` gives, kept for as long as `state` is the same."""
        key = (state, function, *arguments)
        if key not in self._kept:
            self._kept[key] = await self.ask(function, *arguments)
            if len(self._kept) > KEPT:
                self._kept.popitem(last=False)
        self._kept.move_to_end(key)
        return self._kept[key]

    def close(self) -> None:
        """End the process, whatever it is at."""
        if self._pool is None:
            return
        pool, self._pool = self._pool, None
        for process in list(getattr(pool, "_processes", {}).values()):
            process.kill()
        pool.shutdown(wait=False, cancel_futures=True)


def _limit() -> None:
    with suppress(OSError, AttributeError):
        os.nice(NICENESS)
    with suppress(ImportError, ValueError, OSError):
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))


def thumbnail(path: Path, side: int) -> bytes:
    """A JPEG of a picture of any kind, upright, in sRGB, on white."""
    from PIL import Image

    from ...models.photos import naming, read_photo
    from ...models.pixels import flatten

    with naming(path, "picture"):
        image = flatten(read_photo(path, smallest=1))[0]
    image.thumbnail((side, side), Image.Resampling.LANCZOS)
    stream = BytesIO()
    image.convert("RGB").save(stream, "JPEG", quality=QUALITY)
    return stream.getvalue()


def size(path: Path) -> tuple[int, int]:
    """Width and height of a picture, upright; decodes it."""
    from ...models.photos import naming, read_photo

    with naming(path, "picture"):
        return read_photo(path).size


@dataclass(frozen=True)
class Lora:
    """What the header of a LoRA file says of it."""

    own: bool
    """Whether smalti trained it, so that it brings its own words."""
    trigger: str
    """The words that call it, empty where it does not say."""
    base: str
    """What it was made for, empty where it does not say."""


def lora(path: Path) -> Lora:
    """Look at a LoRA file's header, and at no tensor; raises InputError for a file that is none."""
    from safetensors import SafetensorError, safe_open

    from ...models.adapter_file import damaged, read_metadata
    from ...models.exchange.header import default_trigger, is_own, made_for, texts_of
    from ...models.exchange.refused import refuse_kinds, refuse_strangers

    try:
        with safe_open(path, framework="np") as file:
            keys = list(file.keys())
    except SafetensorError as error:
        raise damaged(path) from error
    texts = texts_of(path)
    if is_own(path):
        return Lora(True, "", str(read_metadata(path).get("base", {}).get("name", "")))
    refuse_kinds(path, keys)
    refuse_strangers(path, keys)
    return Lora(False, default_trigger(texts), made_for(texts))


def cropped(path: Path, side: int, class_word: str, resolution: int) -> bytes:
    """A JPEG of a concept's photo in which all but its largest training crop is darker."""
    from PIL import Image

    from ...models.concept_files import concept_files
    from ...models.photos import naming, read_photo
    from ...models.pixels import flatten
    from ...train.crops import choose_window, find_anchor

    with naming(path, "picture"):
        image = flatten(read_photo(path, smallest=1))[0].convert("RGB")
    masks = concept_files(path.parent).masks_of(path)
    mask = read_photo(masks[0], smallest=1).convert("L") if masks else None
    usable = mask is not None and mask.size == image.size and mask.getextrema()[1] > 0
    anchor = find_anchor(mask, class_word) if usable else None
    window = choose_window(None, image.size, anchor, class_word, resolution)
    shown = Image.blend(image, Image.new("RGB", image.size), DARKER)
    box = tuple(round(edge) for edge in window)
    shown.paste(image.crop(box), box[:2])
    shown.thumbnail((side, side), Image.Resampling.LANCZOS)
    stream = BytesIO()
    shown.save(stream, "JPEG", quality=QUALITY)
    return stream.getvalue()


def verdicts(
    folder: Path, base: BaseSettings
) -> tuple[dict[str, list[tuple[str, str]]], list[str]]:
    """What is wrong with each photo of a concept, as (level, text), and with the set."""
    from ...train.data.check import check_folder

    checked = check_folder(folder, base)
    found = {p.path.name: [(f.level, f.text) for f in p.findings] for p in checked.photos}
    return found, [finding.text for finding in checked.findings]
