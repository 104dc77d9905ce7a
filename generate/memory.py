"""How many tiles fit into memory, and batches that shrink when they do not."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from typing import TypeVar

import torch

from ..configs.errors import SmaltiError, is_out_of_memory
from ..configs.mosaic import MosaicSettings
from ..models.base import BaseModel
from ..models.device import free_memory
from .grid import Grid, Tile
from .guidance.cost import differentiates_decoder, needs_gradients

MAX_BATCH = {"cpu": 16, "mps": 16, "cuda": 64}  # beyond it, tiles only wait for each other
MEMORY_SHARE = 0.6

T = TypeVar("T")


def choose_batch(base: BaseModel, mosaic: MosaicSettings, grid: Grid) -> int:
    """How many tiles to draw at once: as many as free memory surely holds, up to `MAX_BATCH`."""
    fitting = int(MEMORY_SHARE * free_memory(base.device) / bytes_per_tile(base, mosaic, grid))
    return max(1, min(fitting, MAX_BATCH[base.device.type], len(grid.tiles)))


def bytes_per_tile(base: BaseModel, mosaic: MosaicSettings, grid: Grid) -> float:
    """About what a tile's activations take, from the widths of UNet and decoder.

    A backward pass keeps all activations: some 60 tensors of the decoder's full-resolution width,
    and some 150 of the UNet's, twice because of CFG (measured: 120 MB per tile on a model of the
    starter's size). Without one, about a quarter lives at a time. A batch that does not fit is
    halved.
    """
    size = torch.finfo(base.dtype).bits // 8
    decoder = 60 * base.decoder_width * grid.tile**2
    unet = 2 * 150 * base.network_width * (grid.tile // base.latent_factor) ** 2
    kept_unet = 1.0 if needs_gradients(mosaic) else 0.25
    kept_decoder = 1.0 if differentiates_decoder(mosaic) else 0.25
    return size * (kept_decoder * decoder + kept_unet * unet)


def in_batches(
    tiles: Sequence[Tile],
    batch: int,
    make: Callable[[Sequence[Tile]], Iterable[T]],
    needed: Callable[[Sequence[Tile]], bool],
) -> Iterator[T]:
    """Yield what `make` gives for consecutive batches that are needed.

    The batch is halved when memory runs out; the size that worked is the generator's return value.
    Raises SmaltiError when not even one tile fits.
    """
    position = 0
    while position < len(tiles):
        part = tiles[position : position + batch]
        made = _attempt(make, part) if needed(part) else ()
        if made is None:
            batch = max(1, len(part) // 2)
            free_cached_memory()
        else:
            yield from made
            position += len(part)
    return batch


def _attempt(
    make: Callable[[Sequence[Tile]], Iterable[T]], part: Sequence[Tile]
) -> Iterable[T] | None:
    """What `make` gives, None where memory ran out; the failed batch's tensors are gone by then."""
    try:
        return make(part)
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
        if len(part) == 1:
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
