"""Work in batches that shrink when memory runs out."""

from collections.abc import Callable, Sequence
from contextlib import suppress

import torch

from ..configs.errors import SmaltiError, is_out_of_memory
from .grid import Tile


def in_batches(
    tiles: Sequence[Tile],
    batch: int,
    draw: Callable[[Sequence[Tile]], None],
    needed: Callable[[Sequence[Tile]], bool],
) -> int:
    """Call `draw` on consecutive batches that are needed; halve the batch when memory runs out.

    Returns the batch size that worked. Raises SmaltiError when not even one tile fits.
    """
    position = 0
    while position < len(tiles):
        part = tiles[position : position + batch]
        failed = False
        if needed(part):
            try:
                draw(part)
            except (RuntimeError, MemoryError) as error:
                if not is_out_of_memory(error):
                    raise
                if len(part) == 1:
                    raise SmaltiError(
                        "Out of memory with a single tile. Lower --tile-size, take "
                        "--mixed-precision bf16 on a GPU, or close other programs."
                    ) from error
                failed = True
        if failed:  # outside `except`, where the traceback still holds the failed batch's tensors
            batch = max(1, len(part) // 2)
            free_cached_memory()
        else:
            position += len(part)
    return batch


def free_cached_memory() -> None:
    """Give memory that torch keeps for later back to the device."""
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    with suppress(RuntimeError):
        torch.mps.empty_cache()
