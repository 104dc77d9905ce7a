"""A mosaic from settings to its folder: claim, draw, store, finish."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from ..configs.errors import InputError
from ..configs.photos import PLACED
from ..configs.progress import Report, reporting, say
from ..configs.settings import Settings, as_tables
from ..models.denoising import OnStep
from ..models.device import pick_device, resolve_precision
from .blocks import fit_reference
from .draw import Drawn, draw
from .engine import Engine, open_engine
from .finish import finish, mosaic_file
from .grid import Tile
from .guidance.fit import poor_fit, rests_on_map
from .job import Job, make_job
from .metadata import adapter_record, parameters_text
from .methods import method_of
from .photo_places import place_photos
from .plan import MosaicPlan, plan_mosaic
from .pull import parts
from .reference import planned_noise, reference_picture
from .retile import plan_retile
from .store import UNFINISHED, Store

Drawer = Callable[[Engine, Job, Store, Sequence[Tile], OnStep], Iterator[Tile]]
"""Draws tiles of a job and puts them into its store; each is told when it lies there, by whomever
it was drawn. Told on_step(index, x0) after every denoising step of a batch."""


def drawn_here(
    engine: Engine, job: Job, store: Store, tiles: Sequence[Tile], on_step: OnStep
) -> Iterator[Tile]:
    """All are drawn by this process."""
    yield from stored(store, job, draw(engine, job, tiles, on_step))


def stored(store: Store, job: Job, drawn: Iterator[Drawn]) -> Iterator[Tile]:
    """Put finished tiles into the store, and tell which they are."""
    for tile in drawn:
        store.keep(tile.tile)
        save_tile(store, job, tile)
        yield tile.tile


def generate_mosaic(
    settings: Settings,
    out: Path,
    *,
    concepts_dir: Path,
    progress: Report | None = None,
    retile: Sequence[Tile] | None = None,
    engine: Engine | None = None,
    drawer: Drawer = drawn_here,
) -> Path:
    """Draw a mosaic into the folder `out` and return the path of mosaic.png.

    Above 179 megapixels that is mosaic.tif, and mosaic.png shows it in small.

    Continues an unfinished mosaic, and does nothing for a finished one. retile: tiles (row, col)
    of a finished mosaic to draw again with `settings.mosaic.picture.seed`; all other settings must
    be those the mosaic was made with. engine: draws it, and more mosaics after it; without one the
    base is loaded for this one. drawer: draws the tiles, such as with the help of other processes.
    progress(done, total, what) replaces the bar on standard error.

    Raises InputError for bad input, for a folder that holds another mosaic, and for an engine of
    another base; SmaltiError when a single tile does not fit into memory.
    """
    plan = _planned(settings, out, retile, concepts_dir)
    store = Store(out, plan.grid)
    precision = _precision(plan, store, engine)
    _claim(store, plan, precision)
    todo = _unmade(plan, store)
    if todo or store.reference() is None:
        with reporting(progress, "mosaic") as report:
            report(0, 1, "loading the base model")
            engine = engine or open_engine(
                plan.settings.base, plan.settings.mosaic.machine, precision=precision
            )
            make_tiles(engine, plan, store, todo, report, drawer)
    if not (store.is_finished and mosaic_file(store).is_file()):
        finish(store, plan.settings, dict.fromkeys(plan.settings.mosaic.picture.tile_prompt))
    return mosaic_file(store)


def _planned(
    settings: Settings, out: Path, retile: Sequence[Tile] | None, concepts_dir: Path
) -> MosaicPlan:
    if retile:
        return plan_retile(settings, out, retile, concepts_dir=concepts_dir)
    return plan_mosaic(settings, concepts_dir=concepts_dir)


def _claim(store: Store, plan: MosaicPlan, precision: str) -> None:
    """Make the folder the plan's, and write down what its tiles are drawn with."""
    store.claim({**plan.identity, "precision": precision})
    store.update(precision=precision)
    if store.recorded("settings") is None:  # of an older version too, which only says what it is
        store.update(settings=as_tables(plan.settings))


def _precision(plan: MosaicPlan, store: Store, engine: Engine | None) -> str:
    """What tiles are computed in: as they were begun, else as asked, else what the engine has."""
    asked = plan.settings.mosaic.machine.mixed_precision
    if asked != "auto":
        wanted = asked
    elif begun := store.recorded("precision"):
        wanted = begun
    else:
        wanted = engine.precision if engine else resolve_precision("auto", pick_device())
    if engine and (engine.precision, engine.base.settings) != (wanted, plan.settings.base):
        raise InputError(
            f"{store.folder} needs base {plan.settings.base.name} in precision {wanted}; this "
            f"engine has {engine.base.settings.name} in {engine.precision}. Open one for it."
        )
    return wanted


def _unmade(plan: MosaicPlan, store: Store) -> list[Tile]:
    """The tiles that are to be drawn."""
    if plan.retile:
        known = () if plan.prompts else plan.retile  # which prompt a tile had, only drawing says
        made = {tile for tile in known if store.seed_of(tile) == plan.seed}
        return [tile for tile in plan.retile if tile not in made]
    return store.missing()


def make_tiles(
    engine: Engine,
    plan: MosaicPlan,
    store: Store,
    todo: Sequence[Tile],
    report: Report,
    drawer: Drawer = drawn_here,
) -> None:
    """Draw what is missing of a plan and put it into the store."""
    job = prepare_job(engine, plan, store, report)
    if plan.settings.mosaic.photos.wanted:
        job = place_photos(plan.photos, job, store, report)
    there = sorted(set(job.grid.tiles).difference(store.missing()))
    facts = store.facts(there).values()
    shown = {t: fact["source"] for t, fact in zip(there, facts, strict=True) if "source" in fact}

    def draw_into(own: Job, name: str) -> dict[Tile, Path]:
        inner = Store(store.folder / name, own.grid)
        store_tiles(engine, own, inner, inner.missing(), report, drawer)
        return {tile: inner.path(tile) for tile in own.tiles}

    job = method_of(job.mosaic).complete(job, todo, shown, draw_into)
    store.update(state=UNFINISHED)  # until mosaic.png shows the new tiles
    store_tiles(engine, job, store, todo, report, drawer)


def prepare_job(engine: Engine, plan: MosaicPlan, store: Store, report: Report) -> Job:
    """The job of a plan, its reference kept in the store, and what is known of it recorded."""
    base, picture = engine.base, plan.settings.mosaic.picture
    store.check_base(base.fingerprint)
    noise = None if picture.ref else planned_noise(base, plan)
    if (reference := store.reference()) is None:
        report(0, 1, "reading the reference" if noise is None else "drawing the reference")
        store.save_reference(fit_reference(reference_picture(engine, plan, noise), plan.grid))
        reference = store.reference()  # in 8 bits, so that a restarted run sees the same picture
    assert reference is not None
    # A restarted run takes the same batches, as far as memory allows, and so gives the same bytes.
    job = make_job(engine, plan, reference, noise=noise, batch=store.recorded("batch"))
    store.update(**_record(engine, job))
    if warning := poor_fit(job.mosaic, base):
        say(f"mosaic: {warning}")
    return job


def _record(engine: Engine, job: Job) -> dict[str, object]:
    """What mosaic.json says of a job, beside its settings."""
    base, guide = engine.base, job.mosaic.guide
    used = {name: engine.adapter(path) for name, path in job.adapters.items()}
    facts: dict[str, object] = {
        "adapters": [adapter_record(name, adapter) for name, adapter in used.items()],
        "base_fingerprint": base.fingerprint,
        "device": str(base.device),
        "batch": job.batch,
    }
    pulls = job.mosaic.method.guided and guide.guidance and not guide.through_unet
    if pulls and not job.is_measured:
        facts["guidance_strength"] = guide.guidance_strength
    if rests_on_map(job.mosaic):
        facts["latent_rgb_fit"] = round(base.linear_decoder.fit, 4)
    return facts


def store_tiles(
    engine: Engine,
    job: Job,
    store: Store,
    todo: Sequence[Tile],
    report: Report,
    drawer: Drawer = drawn_here,
) -> None:
    """Draw tiles of a job and store each as it is handed on."""
    steps = job.mosaic.sampler.steps
    total, done = len(job.tiles) * steps, (len(job.tiles) - len(todo)) * steps

    def on_step(index: int, x0: object) -> None:
        report(min(done + index * len(x0), total), total, "drawing tiles")  # type: ignore[arg-type]

    for part, wanted in parts(job, store, todo):
        for _ in drawer(engine, part, store, wanted, on_step):
            done += steps
    report(total, total, "done")


def save_tile(store: Store, job: Job, drawn: Drawn) -> None:
    """Put a finished tile into the store, with the parameters that UIs read."""
    size = (job.grid.tile, job.grid.tile)
    is_photo = drawn.facts.get("how") == PLACED
    text = parameters_text(
        job.settings, drawn.facts["prompt"], job.seed, size, is_photo=is_photo
    )
    store.save(drawn.tile, drawn.image, drawn.facts, text)
