"""How many tiles are drawn at once, and batches that shrink when they do not fit."""

import time
from collections.abc import Callable, Collection, Generator, Iterator, Sequence
from contextlib import suppress
from typing import TypeVar

import torch

from ..configs.errors import SmaltiError, is_out_of_memory
from ..configs.mosaic import MosaicSettings
from ..models.base import BaseModel
from ..models.device import free_memory
from .footprint import Widths, tile_bytes
from .grid import Grid, Tile
from .methods import method_of

MAX_BATCH = {"cpu": 16, "mps": 16, "cuda": 64}  # beyond it, tiles only wait for each other
MEMORY_SHARE = 0.6
LONGEST = 60.0  # seconds of drawing that a kill may lose: no tile is stored before its batch ends
WARM = 3  # timed calls; the first one also waits for what a GPU does once
SLOW = 10.0  # seconds of a call beside which that does not count

T = TypeVar("T")


def choose_batch(base: BaseModel, mosaic: MosaicSettings, grid: Grid) -> int:
    """How many tiles to draw at once: as many as free memory surely holds, up to `MAX_BATCH`.

    Fewer where they would take longer than `LONGEST`, by the measured time of the network's calls.
    """
    fitting = int(MEMORY_SHARE * free_memory(base.device) / bytes_per_tile(base, mosaic, grid))
    most = max(1, min(fitting, MAX_BATCH[base.device.type], len(grid.tiles)))
    if most == 1 or mosaic.own_pictures:
        return most
    seconds = method_of(mosaic).calls(mosaic) * seconds_per_call(base, grid.tile)
    if most * seconds <= LONGEST:
        return most
    # A power of two, so that the next measurement likely leads to the same batches and bytes.
    return 2 ** max(0, int(LONGEST / seconds).bit_length() - 1)


@torch.no_grad()
def seconds_per_call(base: BaseModel, side: int) -> float:
    """Measured time of one call of the network for one picture of `side` px, once warm."""
    latent = side // base.latent_factor
    z = torch.zeros(1, base.latent_channels, latent, latent, device=base.device)
    text, fastest = base.encode_text([""]), float("inf")
    with torch.compiler.set_stance("force_eager"):  # compiling takes minutes for every new batch
        for _ in range(WARM):
            began = time.perf_counter()
            base.network(z, 500, text).sum().item()  # which waits for the device
            fastest = min(fastest, time.perf_counter() - began)
            if fastest > SLOW:
                break
    return fastest


def bytes_per_tile(base: BaseModel, mosaic: MosaicSettings, grid: Grid) -> float:
    """About what a tile's activations take; a batch that does not fit is halved."""
    widths = Widths(base.network_width, base.decoder_width, base.latent_factor)
    values = tile_bytes(base.settings, widths, mosaic, grid.tile)
    return torch.finfo(base.dtype).bits // 8 * values


def in_batches(
    tiles: Sequence[Tile],
    batch: int,
    make: Callable[[Sequence[Tile]], Iterator[T]],
    wanted: Collection[Tile],
) -> Generator[T, None, int]:
    """Yield what `make` gives for the wanted ones of consecutive batches, one by one.

    make: gives something for each tile of a batch, in their order; not called for batches of which
    nothing is wanted. The batch is halved when memory runs out, and goes on after what was there;
    the size that worked is the generator's return value. Raises SmaltiError when not even one tile
    fits.
    """
    position = 0
    while position < len(tiles):
        part = tiles[position : position + batch]
        if not any(tile in wanted for tile in part):
            position += len(part)
            continue
        making = make(part)
        for tile in part:
            if (made := _attempt(making, len(part))) is None:
                batch = max(1, len(part) // 2)
                free_cached_memory()
                break
            position += 1
            if tile in wanted:
                yield made
    return batch


def _attempt(making: Iterator[T], batch: int) -> T | None:
    """What comes next, None where memory ran out; the failed batch's tensors are gone by then."""
    try:
        return next(making)
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
        if batch == 1:
            raise SmaltiError(
                "Out of memory with a single tile. Lower --tile-size, take "
                "--mixed-precision bf16 on a GPU, or close other programs."
            ) from error
    return None


def free_cached_memory() -> None:
    """Give memory that torch keeps for later back to the device."""
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    with suppress(RuntimeError):
        torch.mps.empty_cache()
