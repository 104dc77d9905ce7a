"""What one order takes, from its ticket to its files: every step finds what is done and goes on.

A worker may be killed at any moment. What it had finished lies in the order's folder, so the next
one passes through the same steps and does what is missing.
"""

import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from ...configs.errors import InputError, SmaltiError
from ...configs.files import remove, write_json
from ...configs.product import ProductSettings, with_changes
from ...configs.progress import Report, silent
from ...configs.settings import Settings
from .energy import Meter
from .engines import Engines, device_name
from .entry import Entry
from .folder import (
    DELIVERY,
    TICKET,
    Publisher,
    begin,
    facts_of_files,
    gather,
    holds,
    keep_safe,
    own_folder,
    tidy,
)
from .leases import Leases
from .ledger import Ledger
from .naming import order_facts, output_path
from .states import CHECKED, DELIVERED, DRAWING, PRINTING, PROOF, TRAINING
from .terms import Materials, drawing_settings, product_of, training_settings
from .ticket import Order

if TYPE_CHECKING:
    from ...generate.mosaic import Drawer
    from ..press.finished import Finished

PROOF_PICTURE, PROOF_SHEET = "proof.jpg", "proof.pdf"


@dataclass
class Desk:
    """What a worker works with."""

    leases: Leases
    worker: str
    report: Report
    """Told of every step; raises KeyboardInterrupt where the worker is to stop."""
    engines: Engines = field(default_factory=Engines)
    meter: Meter = field(default_factory=Meter)
    own: Callable[[Entry], AbstractContextManager[Path]] = own_folder
    """Makes sure that an order's folder is nobody else's."""
    drawer: "Drawer | None" = None
    """Draws tiles, None where this process draws them all."""


def work(desk: Desk, entry: Entry) -> None:
    """Do what is missing of an order in its folder, which must be this process's own.

    Raises LeaseLost, KeyboardInterrupt, InputError for what cannot be done, and whatever else
    training, drawing and printing raise.
    """
    order, terms = entry.order, entry.terms
    assert order is not None
    begin_or_go_on(desk, entry)
    materials = gather(entry)
    settings = check(entry, order, materials)
    desk.leases.enter(entry, desk.worker, CHECKED)
    if order.photos:
        train(desk, entry, order, Path(materials.concept))
    draw(desk, entry, settings)
    make_proof(desk, entry)
    if terms.proof_first and not entry.approved:
        desk.leases.hold(entry, desk.worker)
        return
    desk.leases.enter(entry, desk.worker, PRINTING)
    deliver(desk, entry)


def begin_or_go_on(desk: Desk, entry: Entry) -> None:
    """Make sure that what lies in the order's folder is this order's, and whole."""
    if entry.out:
        remove(entry.out)  # of an order that was replaced, or never entered as delivered
    if holds(entry):
        tidy(entry.work)
        return
    desk.leases.vacate(entry, desk.worker)
    begin(entry)


def check(entry: Entry, order: Order, materials: Materials) -> Settings:
    """Check everything that can be checked before anything is loaded; raises InputError."""
    settings = drawing_settings(order, entry.terms, materials)
    product_of(order)
    if order.photos:
        from ...train.concept import load_concept

        load_concept(materials.concept, order.class_word)
        training_settings(order, entry.terms, Path(materials.concept))
    else:
        from ...generate.plan import plan_mosaic

        plan_mosaic(settings, concepts_dir=Path(entry.terms.concepts_dir))
    return settings


def train(desk: Desk, entry: Entry, order: Order, folder: Path) -> None:
    """Train the order's own concept, whose adapter stays in the order's folder."""
    from ...train.trainer import train_concept

    desk.leases.enter(entry, desk.worker, TRAINING)
    with timed(desk, entry, "training"):
        train_concept(folder, training_settings(order, entry.terms, folder), progress=desk.report)


def draw(desk: Desk, entry: Entry, settings: Settings) -> None:
    """Draw the mosaic, or go on with it, by the worker's engine."""
    from ...generate.mosaic import drawn_here, generate_mosaic
    from ...generate.store import FINISHED, read_record

    folder = entry.work / "mosaic"
    if (read_record(folder) or {}).get("state") == FINISHED:
        return
    desk.leases.enter(entry, desk.worker, DRAWING)
    desk.report(0, 1, "loading the base model")
    before = desk.engines.loading
    engine = desk.engines.of(settings, folder)
    if waited := desk.engines.loading - before:
        desk.leases.record(entry, {"loading": waited}, device_name())
    with timed(desk, entry, "drawing"):
        generate_mosaic(
            settings, folder, concepts_dir=Path(entry.terms.concepts_dir), progress=desk.report,
            engine=engine, drawer=desk.drawer or drawn_here,
        )  # fmt: skip


def make_proof(desk: Desk, entry: Entry) -> None:
    """Write the picture that a customer sees first, and the sheet of what is printed."""
    from ..press.proof import write_proof, write_sheet

    picture, sheet = entry.work / PROOF_PICTURE, entry.work / PROOF_SHEET
    mosaic, product = finished(entry)
    if not all(_is_newer(path, mosaic) for path in (picture, *([sheet] if product else []))):
        desk.report(0, 1, "proof")
        with timed(desk, entry, "printing"):
            if product:
                write_sheet([(mosaic, product)], sheet)
            write_proof(mosaic, picture)
    desk.leases.enter(entry, desk.worker, PROOF)


def _is_newer(path: Path, mosaic: "Finished") -> bool:
    """Whether a proof is there and shows the mosaic's tiles, also those that were drawn anew."""
    return path.exists() and path.stat().st_mtime >= mosaic.record.stat().st_mtime


def finished(entry: Entry) -> "tuple[Finished, ProductSettings | None]":
    """An order's mosaic, and its product, turned as the mosaic is."""
    from ..press.finished import open_finished
    from ..press.printing import layout_of

    assert entry.order is not None
    mosaic = replace(open_finished(entry.work / "mosaic"), title=entry.reference)
    product = product_of(entry.order)
    if product:
        product = layout_of(mosaic, product, turn=bool(entry.order.product)).product
    return mosaic, product


def deliver(desk: Desk, entry: Entry) -> None:
    """Write the files of an order and put them into `out/`, all at once."""
    assert entry.order is not None
    out = desk.leases.reserve(entry, desk.worker, _place(entry))
    made = entry.work / DELIVERY
    with timed(desk, entry, "printing"):
        print_into(made, entry, out.name, entry.order.copies, desk.report)
        for name in (PROOF_PICTURE, PROOF_SHEET):
            if (entry.work / name).exists():
                shutil.copyfile(entry.work / name, made / name)
        keep_safe(made)
        files = facts_of_files(made)
    desk.leases.deliver(entry, desk.worker, files, Publisher(made, out))


def _place(entry: Entry) -> str:
    """The folder that the naming template gives an order; the day is that of its receipt."""
    assert entry.order is not None
    day = datetime.fromtimestamp(entry.received).date()
    return str(output_path(entry.terms.naming, order_facts(entry.order, day, DELIVERED)))


def print_into(folder: Path, entry: Entry, name: str, copies: int, report: Report) -> None:
    """Write an order's print files, called `name`, and its ticket into a new folder."""
    from ...generate.finish import mosaic_file
    from ...generate.store import Store
    from ..press.printing import print_mosaic

    remove(folder)
    folder.mkdir(parents=True)
    mosaic, product = finished(entry)
    if product:
        print_mosaic(mosaic, with_changes(product, name=name), folder, progress=report)
    else:
        path = mosaic_file(Store(mosaic.folder, mosaic.grid))
        shutil.copyfile(path, folder / f"{name}{path.suffix}")
    assert entry.order is not None
    ticket = entry.order.model_dump(mode="json") | {"copies": copies}
    write_json(folder / TICKET, ticket)


@contextmanager
def timed(desk: Desk, entry: Entry, what: str) -> Iterator[None]:
    """Record what a piece of work took, also where it is broken off."""
    desk.meter.since()
    began = time.perf_counter()
    try:
        yield
    finally:
        seconds, joules = time.perf_counter() - began, desk.meter.since()
        with suppress(SmaltiError):  # a full disk is told by what comes next
            desk.leases.record(entry, {what: seconds}, device_name(), joules)


def reprint(ledger: Ledger, entry: Entry, copies: int) -> Path:
    """Print a delivered order again, into a folder beside its first files; returns the folder.

    Raises InputError for an order that is not delivered. The folder must be this process's own.
    """
    if entry.state != DELIVERED or entry.out is None:
        raise InputError(
            f'"{entry.reference}" is {entry.state}; only delivered ones are reprinted.'
        )
    number = 1
    while (target := entry.out / f"reprint-{number}").exists():
        number += 1
    made = entry.work / DELIVERY
    print_into(made, entry, entry.out.name, copies, silent)
    keep_safe(made)
    Publisher(made, target)()
    again = {f"{target.name}/{name}": facts for name, facts in facts_of_files(target).items()}
    ledger.note(entry.reference, f"{copies} printed again", entry.files | again)
    return target
