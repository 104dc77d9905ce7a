"""Single tiles of a finished mosaic, drawn anew with another seed."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from ..configs.errors import InputError
from ..configs.mosaic import changed
from ..configs.photos import PLACED
from ..configs.settings import Settings
from ..configs.tables import Tables, checked_tables
from .grid import Tile, make_grid
from .plan import MosaicPlan, plan_mosaic
from .store import RECORD, Store, read_record
from .subjects import fill_defaults


def recorded_tables(out: Path) -> Tables:
    """The settings with which the mosaic in `out` was finished.

    Raises InputError when it is not, or when a setting is unknown.
    """
    record = read_record(out)
    if record is None or "tiles" not in record:  # which is said at the very end
        raise InputError(
            f"{out} holds no finished mosaic to redraw tiles of. Give its folder with --out, or "
            "finish it first with the command that began it."
        )
    return checked_tables(record["settings"], str(out / RECORD))


def plan_retile(
    settings: Settings, out: Path, tiles: Sequence[Tile], *, concepts_dir: Path
) -> MosaicPlan:
    """Plan to draw tiles of the mosaic in `out` anew with `settings.mosaic.picture.seed`.

    Other prompts than the mosaic's are for these tiles alone. The photo it was made from need not
    be there any more: the mosaic keeps it as reference.png.
    Raises InputError as `plan_mosaic` does, for tiles outside the grid or with this seed already,
    and when the mosaic is not finished but for a retiling that was stopped.
    """
    made = recorded_tables(out)["mosaic"]
    seed, asked = settings.mosaic.picture.seed, settings.mosaic.picture.tile_prompt
    own = tuple(made["tile_prompt"])
    settings = replace(
        settings, mosaic=changed(settings.mosaic, seed=made["seed"], tile_prompt=own)
    )
    store = Store(out, make_grid(settings))
    kept = store.reference() is not None and settings.mosaic.picture.ref == made["ref"]
    known = store.recorded("identity").get("reference") if kept else None
    plan = plan_mosaic(settings, concepts_dir=concepts_dir, photo_hash=known)
    _check_tiles(store, tiles)
    _check_placed(store, tiles)
    prompts = _prompts(settings, asked) if asked and asked != own else ()
    if not prompts:
        _check_seed(store, tiles, seed, made["seed"])
    tiles = tuple(dict.fromkeys(tiles))
    seconds = plan.seconds * len(tiles) / len(plan.grid.tiles)
    return replace(plan, seed=seed, retile=tiles, prompts=prompts, seconds=seconds)


def _prompts(settings: Settings, asked: tuple[str, ...]) -> tuple[str, ...]:
    """Prompts as they are drawn, the concept's place in them; raises InputError for a bad one."""
    return fill_defaults(replace(settings.mosaic.picture, tile_prompt=asked)).tile_prompt


def _check_tiles(store: Store, tiles: Sequence[Tile]) -> None:
    grid = store.grid
    for row, col in tiles:
        if not (0 <= row < grid.rows and 0 <= col < grid.cols):
            raise InputError(
                f"--retile {row},{col} is outside the grid; rows run from 0 to {grid.rows - 1}, "
                f"columns from 0 to {grid.cols - 1}."
            )
    if lost := set(store.missing()).difference(tiles):
        row, col = min(lost)
        raise InputError(
            f"The tile {row},{col} is missing in {store.folder} or damaged. First draw it again: "
            "repeat the command that made the mosaic, without --retile."
        )


def _check_placed(store: Store, tiles: Sequence[Tile]) -> None:
    """A photo as it is knows no seed."""
    missing = store.missing()
    for name, told in store.facts(tile for tile in tiles if tile not in missing).items():
        if told.get("how") == PLACED:
            raise InputError(
                f"The tile {name} is {told['photo']} as it is, and no seed changes that. Give it "
                "another place, or how = drawn, with --photo-places and a new --out."
            )


def _check_seed(store: Store, tiles: Sequence[Tile], seed: int, old_seed: int) -> None:
    same = all(store.seed_of(tile) == seed for tile in tiles)
    if same and seed == old_seed and store.is_finished:
        raise InputError(
            f"--retile with seed {seed} would draw the very same tiles; add another --seed."
        )
