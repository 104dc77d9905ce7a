"""What memory a mosaic takes, known before anything is loaded. Nothing here loads torch."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from ..configs.base import BaseSettings
from ..configs.errors import InputError
from ..configs.files import read_json
from ..configs.mosaic import MosaicSettings
from ..configs.settings import Settings
from ..models.cost import total_memory
from ..models.footprint import footprint_of
from ..models.locate import local_folder
from .grid import LARGEST, LATENT_FACTOR, Grid
from .guidance.cost import differentiates_decoder, needs_gradients

HOST = "cpu"  # where the finished mosaic is put together, whatever draws its tiles
CANVAS_COPIES = 2  # the pixels, and Pillow's own while they are written
FP32 = 4
HALF = 2  # bytes of a value in 16 bits


class Widths(NamedTuple):
    """What the size of activations depends on."""

    network: int
    """Channels of the denoising network at full resolution."""
    decoder: int
    """Channels of the decoder at full resolution."""
    latent_factor: int
    """Image pixels per latent pixel and axis."""


STABLE_DIFFUSION = Widths(320, 128, LATENT_FACTOR)


def tile_bytes(
    base: BaseSettings, widths: Widths, mosaic: MosaicSettings, side: int
) -> float:
    """About how many values a tile of `side` px keeps in memory while it is drawn.

    Of known bases that is counted, in values of 16 bits (`models/footprint.py`). Of others:
    A backward pass keeps all activations: some 60 tensors of the decoder's full-resolution width,
    and some 150 of the UNet's, twice because of CFG (measured: 120 MB per tile on a model of the
    starter's size). Without one, about a quarter lives at a time.
    """
    if found := footprint_of(base):
        step = found.exact if differentiates_decoder(mosaic) else found.drawing
        return (step.bytes(side, 1) - step.fixed) / HALF
    decoder = 60 * widths.decoder * side**2
    unet = 2 * 150 * widths.network * (side // widths.latent_factor) ** 2
    kept_unet = 1.0 if needs_gradients(mosaic) else 0.25
    kept_decoder = 1.0 if differentiates_decoder(mosaic) else 0.25
    return kept_decoder * decoder + kept_unet * unet


def expected_widths(settings: Settings) -> Widths:
    """The widths of a base by its folder's own word, Stable Diffusion's where it has none."""
    folder = local_folder(settings.base.source)
    if folder is None:
        return STABLE_DIFFUSION
    unet, vae = (_channels(read_json(folder / part / "config.json")) for part in ("unet", "vae"))
    return Widths(unet[0], vae[0], 2 ** (len(vae) - 1)) if unet and vae else STABLE_DIFFUSION


def _channels(config: dict[str, Any] | None) -> Sequence[int]:
    """Channels per level, of the decoder where it has its own; empty where nobody says."""
    found = config or {}
    return found.get("block_out_channels") or found.get("decoder_block_out_channels") or ()


def expected_bytes(settings: Settings, grid: Grid) -> tuple[float, float]:
    """About what drawing one tile takes, and what putting the mosaic together takes, in fp32."""
    mosaic, (tall, wide) = settings.mosaic, grid.canvas_size
    widths = expected_widths(settings)
    tile = 0.0 if mosaic.own_pictures else tile_bytes(settings.base, widths, mosaic, grid.tile)
    return FP32 * tile, 3.0 * CANVAS_COPIES * min(tall * wide, LARGEST)


def check_memory(settings: Settings, grid: Grid, device: str) -> None:
    """Refuse what this machine surely cannot hold; raises InputError.

    Whoever gives a batch size knows better.
    """
    if settings.mosaic.machine.batch_size:
        return
    tile, canvas = expected_bytes(settings, grid)
    for needed, where, what, remedy in (
        (tile, device, f"A tile of {grid.tile} px", "Lower --tile-size"),
        (canvas, HOST, "A mosaic of {1} x {0} px".format(*grid.canvas_size), "Take fewer tiles"),
    ):
        if needed > (there := total_memory(where)):
            raise InputError(
                f"{what} takes about {in_units(needed)} of memory, and this machine has "
                f"{in_units(there)}. {remedy}, or try all the same with --batch-size 1."
            )


def in_units(count: float) -> str:
    """Bytes as a user reads them."""
    return f"{count / 2**30:.0f} GiB" if count >= 10 * 2**30 else f"{count / 2**20:.0f} MiB"
