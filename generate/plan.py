"""What a mosaic will be, before anything is drawn: choices, sizes and an estimate of time."""

import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from ..configs.errors import InputError
from ..configs.files import file_hash
from ..configs.settings import CLASSICAL, MosaicSettings, Settings
from ..models.base import BaseModel
from ..models.color_adapter import require_color_adapter
from ..models.concepts import find_adapter
from ..models.device import free_memory, pick_device
from ..models.files import is_present
from .grid import Grid, Tile, make_grid
from .guidance import goes_through_unet
from .methods.choice import resolve_method, unused_settings
from .methods.img2img import first_step
from .methods.pool import check_pool, pool_files, pool_hash
from .reference import load_photo
from .subjects import fill_defaults

MAX_BATCH = {"cpu": 16, "mps": 16, "cuda": 64}  # beyond it, tiles only wait for each other
MEMORY_SHARE = 0.6
MAX_LCM_STEPS = 50
NOT_IN_PICTURE = ("batch_size", "attention", "compile", "ref", "pool")  # no tile depends on them

# For the estimate. A UNet takes about 0.23 FLOP per parameter and latent pixel, and there is about
# one UNet parameter per five bytes of a download (SD 1.5: 0.80 TFLOP at 64 x 64, 860 M in 4.3 GB).
FLOP_PER_PARAMETER = 0.23
PARAMETERS_PER_BYTE = 0.2
DECODER_COST = 3  # in UNet calls; SD: 2.5 TFLOP to 0.8
FLOP_PER_SECOND = {"cuda": 2.5e13, "mps": 2e12, "cpu": 2.5e10}  # the last one per core


@dataclass(frozen=True)
class MosaicPlan:
    """A checked plan; printing its fields tells a user what `mosaic-gen` would do."""

    settings: Settings
    """Resolved settings with all defaults filled in."""
    grid: Grid
    """Rows, columns and sizes."""
    identity: dict[str, Any]
    """Everything that a tile's picture depends on, for restarts."""
    device: str
    """Where the tiles will be drawn."""
    seconds: float
    """A rough estimate of the time that drawing takes."""
    seed: int
    """Seed of the tiles that are to be drawn: the mosaic's, but for single tiles drawn anew."""
    retile: tuple[Tile, ...] = ()
    """Tiles to draw anew; without any, the whole mosaic is drawn."""

    def facts(self) -> dict[str, str]:
        """The plan in words, for --dry-run."""
        grid, mosaic = self.grid, self.settings.mosaic
        (tall, wide), (high, broad) = grid.canvas_size, grid.reference_size
        reference = mosaic.ref or _shown(mosaic.ref_prompt, mosaic.ref_lora)
        tiles = [_shown(p, ", ".join(mosaic.tile_lora)) for p in mosaic.tile_prompt]
        if mosaic.pool:
            tiles = [f"{len(pool_files(mosaic))} pictures of {mosaic.pool}"]
        cached = "" if is_present(self.settings.base) else " (to be downloaded)"
        return {
            "grid": f"{grid.rows} x {grid.cols} = {len(grid.tiles)} tiles of {grid.tile} px",
            "mosaic": f"{wide} x {tall} px",
            "reference": f"{reference}, {broad} x {high} px, blocks of {grid.block} px",
            "tiles": "; ".join(tiles),
            "method": mosaic.method,
            "base": self.settings.base.name + cached,
            "guide": _guide_shown(mosaic),
            "batch": str(mosaic.batch_size or "as many tiles as fit into free memory"),
            "time": f"about {duration(self.seconds)} on {self.device} (a rough estimate)",
            **({"drawn anew": f"{len(self.retile)} with seed {self.seed}"} if self.retile else {}),
        }


def _shown(prompt: str, concept: str) -> str:
    return f'"{prompt}"' + (f" with {concept}" if concept else "")


def _guide_shown(mosaic: MosaicSettings) -> str:
    if not mosaic.guidance:
        return "none"
    return f"{mosaic.guide}, {mosaic.low_pass_cells} x {mosaic.low_pass_cells} cells per tile"


def duration(seconds: float) -> str:
    """Seconds in words: "40 s", "12 min", "3.5 h"."""
    if seconds < 100:
        return f"{max(1, round(seconds))} s"
    return f"{seconds / 60:.0f} min" if seconds < 6000 else f"{seconds / 3600:.1f} h"


def plan_mosaic(
    settings: Settings, *, concepts_dir: Path, photo_hash: str | None = None
) -> MosaicPlan:
    """Check everything that can be checked without loading a model, and plan the run.

    photo_hash: the reference photo's, where the photo itself is not needed any more.
    Raises InputError for a bad grid or tile size, contradicting options, an unknown or untrained
    concept, or a reference that cannot be read.
    """
    settings = replace(settings, mosaic=fill_defaults(resolve_method(settings.mosaic)))
    mosaic, grid = settings.mosaic, make_grid(settings)
    if mosaic.scheduler == "lcm" and mosaic.steps > MAX_LCM_STEPS:
        raise InputError(f'Scheduler "lcm" takes at most {MAX_LCM_STEPS} steps; 4 to 8 are usual.')
    if mosaic.method in CLASSICAL:
        check_pool(mosaic, grid)
    if mosaic.method == "color-adapter":
        require_color_adapter(settings.base)
    identity = _identity(settings, concepts_dir, photo_hash)
    device = pick_device()
    seconds = estimate_seconds(settings, grid, device)
    return MosaicPlan(settings, grid, identity, device, seconds, mosaic.seed)


def _identity(
    settings: Settings, concepts_dir: Path, photo_hash: str | None
) -> dict[str, Any]:
    """Settings and hashes of files that a tile's picture depends on."""
    mosaic = settings.mosaic
    left_out = {*NOT_IN_PICTURE, *unused_settings(mosaic)}
    facts = {k: v for k, v in vars(mosaic).items() if k not in left_out}
    if mosaic.pool:
        facts["pool"] = pool_hash(mosaic)
    if mosaic.method == "color-adapter":
        facts["color_adapter"] = settings.base.color_adapter
    if mosaic.ref:
        facts["reference"] = photo_hash or _hash_of_photo(Path(mosaic.ref).expanduser())
    for name in dict.fromkeys(filter(None, (mosaic.ref_lora, *mosaic.tile_lora))):
        facts[f"adapter {name}"] = file_hash(find_adapter(name, concepts_dir))[:16]
    return {"base": settings.base.source, **facts}


def _hash_of_photo(path: Path) -> str:
    load_photo(path)  # what cannot be read is refused before anything is loaded
    return file_hash(path)[:16]


def estimate_seconds(settings: Settings, grid: Grid, device: str) -> float:
    """Rough time of drawing all tiles, from the size of the model and the kind of device."""
    mosaic = settings.mosaic
    parameters = settings.base.size_gb * 1e9 * PARAMETERS_PER_BYTE
    unet = FLOP_PER_PARAMETER * parameters * (grid.tile / 8) ** 2
    speed = FLOP_PER_SECOND[device] * ((os.cpu_count() or 1) if device == "cpu" else 1)
    drawn = len(grid.tiles)
    if mosaic.method in CLASSICAL:
        drawn = 0 if mosaic.pool else mosaic.pool_size
    return drawn * unet_calls(mosaic) * unet / speed


def unet_calls(mosaic: MosaicSettings) -> float:
    """What a tile costs, in UNet calls: denoising, guide and the last decoding.

    A backward pass counts twice its forward pass.
    """
    share = max(0.0, mosaic.cfg_end - mosaic.cfg_start)
    plain = (mosaic.steps - first_step(mosaic)) * (1 + (mosaic.cfg_scale != 1) * share)
    guided = mosaic.steps * max(0.0, mosaic.guidance_end - mosaic.guidance_start)
    if not mosaic.guidance:
        guide = 0.0
    elif goes_through_unet(mosaic):
        guide = guided * (2 * plain / mosaic.steps + 3 * DECODER_COST)
    elif mosaic.guide == "x0-gradient" and mosaic.guide_decoder == "full":
        guide = guided * mosaic.inner_steps * 3 * DECODER_COST
    else:
        looks = mosaic.corrections if mosaic.guide == "projection" else 0
        guide = looks * DECODER_COST
    return plain + guide + DECODER_COST


def choose_batch(base: BaseModel, settings: Settings, grid: Grid) -> int:
    """How many tiles to draw at once: as many as free memory surely holds, up to `MAX_BATCH`."""
    fitting = int(MEMORY_SHARE * free_memory(base.device) / bytes_per_tile(base, settings, grid))
    return max(1, min(fitting, MAX_BATCH[base.device.type], len(grid.tiles)))


def bytes_per_tile(base: BaseModel, settings: Settings, grid: Grid) -> float:
    """About what a tile's activations take, from the widths of UNet and decoder.

    A backward pass keeps all activations: some 60 tensors of the decoder's full-resolution width,
    and some 150 of the UNet's, twice because of CFG (measured: 120 MB per tile on a model of the
    starter's size). Without one, about a quarter lives at a time. A batch that does not fit is
    halved.
    """
    size = torch.finfo(base.dtype).bits // 8
    config = base.vae.config
    width = (config.get("block_out_channels") or config["decoder_block_out_channels"])[0]
    decoder = 60 * width * grid.tile**2
    unet = 2 * 150 * base.unet.config.block_out_channels[0] * (grid.tile // base.latent_factor) ** 2
    mosaic = settings.mosaic
    whole = goes_through_unet(mosaic)
    half = mosaic.guidance and mosaic.guide == "x0-gradient" and mosaic.guide_decoder == "full"
    return size * ((1.0 if whole or half else 0.25) * decoder + (1.0 if whole else 0.25) * unet)
