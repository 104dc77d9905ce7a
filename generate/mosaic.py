"""Plan and run: from settings to a finished mosaic, continuing what was begun."""

from collections.abc import Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

from torch import Tensor

from ..configs.errors import InputError
from ..configs.settings import CLASSICAL, BaseSettings, MosaicSettings, Settings, TrainSettings
from .batches import in_batches
from .grid import Tile, make_grid
from .methods.pool import drawn_pool, folder_pool, pool_studio
from .methods.sources import choose_sources
from .output import finish
from .plan import MosaicPlan, plan_mosaic
from ..configs.progress import Report, reporting
from .studio import Studio, draw_batch, open_studio
from .tiles import MOSAIC, UNFINISHED, TileStore, read_record

__all__ = ["MosaicPlan", "generate_mosaic", "plan_mosaic", "plan_retile", "recorded_settings"]


def generate_mosaic(
    settings: Settings,
    out: Path,
    *,
    concepts_dir: Path,
    progress: Report | None = None,
    retile: Sequence[Tile] | None = None,
) -> Path:
    """Draw a mosaic into the folder `out` and return the path of mosaic.png.

    Continues an unfinished mosaic, and does nothing for a finished one. retile: tiles (row, col)
    of a finished mosaic to draw again with `settings.mosaic.seed`; all other settings must be those
    the mosaic was made with. progress(done, total, what) replaces the bar on standard error.

    Raises InputError for bad input and for a folder that holds another mosaic; SmaltiError when a
    single tile does not fit into memory.
    """
    if retile:
        plan = plan_retile(settings, out, retile, concepts_dir=concepts_dir)
    else:
        plan = plan_mosaic(settings, concepts_dir=concepts_dir)
    store = TileStore(out, plan.grid)
    store.claim(plan.identity)
    if plan.retile:
        todo = [tile for tile in plan.retile if store.seed_of(tile) != plan.seed]
    else:
        todo = store.missing()
    if todo or store.reference() is None:
        with reporting(progress, "mosaic") as report:
            studio = open_studio(plan, store, concepts_dir, report)
            if plan.settings.mosaic.method in CLASSICAL:
                studio = with_sources(studio, set(todo), plan.seed, report)
            store.update(state=UNFINISHED)  # until mosaic.png shows the new tiles
            draw_tiles(studio, plan.retile or plan.grid.tiles, set(todo), plan.seed, report)
    if not (store.is_finished and (store.folder / MOSAIC).is_file()):
        finish(store, plan.settings, dict.fromkeys(plan.settings.mosaic.tile_prompt))
    return store.folder / MOSAIC


def plan_retile(
    settings: Settings, out: Path, tiles: Sequence[Tile], *, concepts_dir: Path
) -> MosaicPlan:
    """Plan to draw tiles of the mosaic in `out` anew with `settings.mosaic.seed`.

    The photo it was made from need not be there any more: the mosaic keeps it as reference.png.
    Raises InputError as `plan_mosaic` does, for tiles outside the grid or with this seed already,
    and when the mosaic is not finished but for a retiling that was stopped.
    """
    made, seed = recorded_settings(out).mosaic, settings.mosaic.seed
    settings = replace(settings, mosaic=replace(settings.mosaic, seed=made.seed))
    store = TileStore(out, make_grid(settings))
    kept = store.reference() is not None and settings.mosaic.ref == made.ref
    known = store.recorded("identity").get("reference") if kept else None
    plan = plan_mosaic(settings, concepts_dir=concepts_dir, photo_hash=known)
    _check_retile(store, tiles, seed, made.seed)
    tiles = tuple(dict.fromkeys(tiles))
    seconds = plan.seconds * len(tiles) / len(plan.grid.tiles)
    return replace(plan, seed=seed, retile=tiles, seconds=seconds)


def recorded_settings(out: Path) -> Settings:
    """The settings with which the mosaic in `out` was finished; raises InputError."""
    record = read_record(out)
    if record is None or "settings" not in record:
        raise InputError(
            f"{out} holds no finished mosaic to redraw tiles of. Give its folder with --out, or "
            "finish it first with the command that began it."
        )
    classes = {"base": BaseSettings, "train": TrainSettings, "mosaic": MosaicSettings}
    return Settings(**{k: _from_json(cls, record["settings"][k]) for k, cls in classes.items()})


def _from_json(cls: type, values: dict[str, Any]) -> Any:
    """A settings object from JSON, which has lists for tuples."""
    known = {field.name for field in fields(cls)}
    tuples = {k: tuple(v) if isinstance(v, list) else v for k, v in values.items()}
    return cls(**{k: v for k, v in tuples.items() if k in known})


def _check_retile(store: TileStore, tiles: Sequence[Tile], seed: int, old_seed: int) -> None:
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
    same = all(store.seed_of(tile) == seed for tile in tiles)
    if same and seed == old_seed and store.is_finished:
        raise InputError(
            f"--retile with seed {seed} would draw the very same tiles; add another --seed."
        )


def with_sources(studio: Studio, todo: set[Tile], seed: int, report: Report) -> Studio:
    """The studio with a picture of the pool for every tile; a pool without a folder is drawn."""
    mosaic = studio.plan.settings.mosaic
    if mosaic.pool:
        pool = folder_pool(mosaic)
    else:
        drawing = pool_studio(studio)
        missing = set(drawing.store.missing())
        draw_tiles(drawing, drawing.plan.grid.tiles, missing, mosaic.seed, report)
        pool = drawn_pool(drawing)
    return replace(studio, sources=choose_sources(studio, pool, todo, seed))


def draw_tiles(
    studio: Studio, pool: Sequence[Tile], wanted: set[Tile], seed: int, report: Report
) -> None:
    """Draw and store the `wanted` tiles in batches that share a concept; `seed` is their noise's.

    Batches are cut from the whole `pool`, so that a restarted run forms the same ones and gives
    the same bytes. Tiles of a batch that are there already are left alone.
    """
    steps = studio.plan.settings.mosaic.steps
    total, done = len(pool) * steps, (len(pool) - len(wanted)) * steps

    def draw(part: Sequence[Tile]) -> None:
        nonlocal done
        fresh, note = (
            wanted.intersection(part),
            f"drawing {studio.subjects[part[0]].concept or 'tiles'}",
        )

        def on_step(index: int, _: Tensor) -> None:
            report(done + index * len(fresh), total, note)

        draw_batch(studio, part, fresh, seed, on_step)
        done += len(fresh) * steps

    batch = studio.batch
    for concept in dict.fromkeys(studio.subjects[tile].concept for tile in pool):
        tiles = [tile for tile in pool if studio.subjects[tile].concept == concept]
        batch = in_batches(tiles, batch, draw, lambda part: not wanted.isdisjoint(part))
    report(total, total, "done")
