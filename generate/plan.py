"""What a mosaic will be, before anything is drawn or torch is loaded: sizes and an estimate."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..configs.errors import InputError
from ..configs.files import file_hash
from ..configs.mosaic import MosaicSettings
from ..configs.progress import duration
from ..configs.settings import Settings
from ..models.concepts import find_adapter
from ..models.cost import expected_device, seconds_of
from ..models.footprint import footprint_of
from ..models.locate import is_present
from ..models.photos import check_photo, photo_path
from .alternatives import check_kinds
from .footprint import HOST, check_memory, expected_bytes, in_units
from .grid import Grid, Tile, make_grid
from .methods import method_of
from .methods.pictures import picture_files
from .photos import PhotoPlan, photo_identity, plan_photos
from .subjects import fill_defaults
from .together import Cast, cost_told, mean_cost
from .triggers import with_picture, with_triggers

MAX_LCM_STEPS = 50


@dataclass(frozen=True)
class MosaicPlan:
    """A checked plan; printing its facts tells a user what `mosaic-gen` would do."""

    settings: Settings
    """Resolved settings with all defaults filled in."""
    grid: Grid
    """Rows, columns and sizes."""
    identity: dict[str, Any]
    """Everything that a tile's picture depends on, for restarts, but for the precision."""
    adapters: dict[str, Path]
    """The adapter's file of each concept that is drawn."""
    device: str
    """Where the tiles will be drawn."""
    seconds: float
    """A rough estimate of the time that drawing takes."""
    seed: int
    """Seed of the tiles that are to be drawn: the mosaic's, but for single tiles drawn anew."""
    retile: tuple[Tile, ...] = ()
    """Tiles to draw anew; without any, the whole mosaic is drawn."""
    prompts: tuple[str, ...] = ()
    """What the tiles drawn anew show; without any, what they showed before."""
    photos: PhotoPlan = PhotoPlan()
    """The user's photos among the tiles."""
    together: str = ""
    """Which concepts are shown together, and what that costs."""

    @property
    def cast(self) -> Cast:
        """Who can be shown, and where."""
        return Cast(self.adapters, self.settings.mosaic.picture.region)

    def _models_own(self) -> str:
        """What the base itself takes, as far as that is known."""
        found = footprint_of(self.settings.base)
        if found is None:
            return "beside the model's own"
        size = 4 if self.device == HOST else 2
        return f"beside {in_units(size * found.values)} of the model's own"

    def facts(self) -> dict[str, str]:
        """The plan in words, for --dry-run."""
        grid, mosaic = self.grid, self.settings.mosaic
        (tall, wide), (high, broad) = grid.canvas_size, grid.reference_size
        picture, batch = mosaic.picture, mosaic.machine.batch_size
        reference = picture.ref or _shown(picture.ref_prompt, ", ".join(picture.ref_lora))
        tile, whole = map(in_units, expected_bytes(self.settings, grid))
        cached = "" if is_present(self.settings.base) else " (to be downloaded)"
        return {
            "grid": f"{grid.rows} x {grid.cols} = {len(grid.tiles)} tiles of {grid.tile} px",
            "mosaic": f"{wide} x {tall} px",
            "reference": f"{reference}, {broad} x {high} px, blocks of {grid.block} px",
            "tiles": _tiles_shown(mosaic),
            **({"photos": self.photos.sentence(len(grid.tiles))} if mosaic.photos.wanted else {}),
            **({"together": self.together} if self.together else {}),
            "method": mosaic.method.name,
            "base": self.settings.base.name + cached,
            "guide": _guide_shown(mosaic),
            "batch": str(batch or "as many tiles as fit into memory and a minute"),
            "memory": f"about {tile} for a tile, {whole} for the mosaic, {self._models_own()}",
            "time": f"about {duration(self.seconds)} on {self.device} (a rough estimate)",
            **({"drawn anew": f"{len(self.retile)} with seed {self.seed}"} if self.retile else {}),
        }


def _shown(prompt: str, concept: str) -> str:
    return f'"{prompt}"' + (f" with {concept}" if concept else "")


def _tiles_shown(mosaic: MosaicSettings) -> str:
    if mosaic.own_pictures:
        return f"{len(picture_files(mosaic.method.pool))} pictures of {mosaic.method.pool}"
    concepts = ", ".join(mosaic.picture.tile_lora)
    return "; ".join(_shown(prompt, concepts) for prompt in mosaic.picture.tile_prompt)


def _guide_shown(mosaic: MosaicSettings) -> str:
    if not (mosaic.method.guided and mosaic.guide.guidance):
        return "none"
    cells = mosaic.picture.low_pass_cells
    return f"{mosaic.guide.name}, {cells} x {cells} cells per tile"


def plan_mosaic(
    settings: Settings, *, concepts_dir: Path, photo_hash: str | None = None
) -> MosaicPlan:
    """Check everything that can be checked without loading a model, and plan the run.

    photo_hash: the reference photo's, where the photo itself is not needed any more.
    Raises InputError for a bad grid or tile size, contradicting options, an unknown or untrained
    concept, a reference that cannot be read, or what this machine has no memory for.
    """
    given, settings = settings, _completed(settings)
    mosaic, grid = settings.mosaic, make_grid(settings)
    _check_steps(mosaic)
    check_kinds(mosaic.picture.tile_prompt, len(mosaic.picture.tile_lora))
    method_of(mosaic).check(settings, grid)
    device = expected_device()
    check_memory(settings, grid, device)
    picture, photos = mosaic.picture, plan_photos(mosaic, grid)
    names = dict.fromkeys((*picture.ref_lora, *picture.tile_lora))
    adapters = {name: find_adapter(name, concepts_dir) for name in names}
    settings = with_triggers(given, settings, adapters)
    cast = Cast(adapters, picture.region)
    cast.check((picture.ref_prompt, *picture.tile_prompt))
    return MosaicPlan(
        settings=settings,
        grid=grid,
        identity=_identity(settings, adapters, photo_hash),
        adapters=adapters,
        device=device,
        seconds=estimate_seconds(settings, grid, device, photos) * mean_cost(cast, mosaic),
        seed=picture.seed,
        photos=photos,
        together=cost_told(cast, mosaic),
    )


def _completed(settings: Settings) -> Settings:
    mosaic = settings.mosaic
    return with_picture(settings, fill_defaults(mosaic.picture, pool=mosaic.own_pictures))


def _check_steps(mosaic: MosaicSettings) -> None:
    if mosaic.sampler.scheduler == "lcm" and mosaic.sampler.steps > MAX_LCM_STEPS:
        raise InputError(f'Scheduler "lcm" takes at most {MAX_LCM_STEPS} steps; 4 to 8 are usual.')


def _identity(
    settings: Settings, adapters: dict[str, Path], photo_hash: str | None
) -> dict[str, Any]:
    """Settings and hashes of files that a tile's picture depends on."""
    mosaic = settings.mosaic
    facts = mosaic.identity() | method_of(mosaic).identity(settings) | photo_identity(mosaic.photos)
    if mosaic.picture.ref:
        facts["reference"] = photo_hash or _hash_of_photo(photo_path(mosaic.picture.ref))
    for name, path in adapters.items():
        facts[f"adapter {name}"] = file_hash(path)[:16]
    return {"base": settings.base.source, **facts}


def _hash_of_photo(path: Path) -> str:
    check_photo(path)  # what cannot be read is refused before anything is loaded
    return file_hash(path)[:16]


def estimate_seconds(
    settings: Settings, grid: Grid, device: str, photos: PhotoPlan | None = None
) -> float:
    """Rough time of drawing all tiles, from the size of the model and the kind of device."""
    mosaic = settings.mosaic
    method = method_of(mosaic)
    spared = photos.spared(mosaic.photos.photo_strength) if photos else 0.0
    calls = (method.pictures(mosaic, grid) - spared) * method.calls(mosaic)
    return seconds_of(calls, settings.base, grid.tile, device)
