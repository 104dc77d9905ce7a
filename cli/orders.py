"""`mosaic orders`: a studio's day; many customers in, trained, drawn, proofed and printed."""

from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape

from ..configs.errors import InputError
from ..configs.presets import preset_names
from ..studio.orders.naming import DEFAULT
from . import intake
from .boundary import guarded
from .console import console, print_facts, print_table
from .crew import Address, Engine, Split, Workers, crew
from .groups import Group
from .options import Base, ConceptsDir, DryRun, Overrides, examples

if TYPE_CHECKING:
    from ..studio.orders.entry import Entry
    from ..studio.orders.ledger import Ledger
    from ..studio.orders.reading import Read
    from ..studio.orders.terms import Terms

EPILOG = examples(
    ("mosaic orders run orders.csv", "every order of a table, on one engine"),
    ("mosaic orders run today/ --workers 2 --proof-first", "print files wait for your word"),
    ("mosaic orders status", "how many are where, and which proofs wait"),
    ("mosaic orders approve A-17", "then the same run prints it"),
    ("mosaic orders retry --failed", "take up what failed"),
    resumes=True,
)

References = Annotated[list[str] | None, typer.Argument(metavar="REFERENCE...")]
Reference = Annotated[str, typer.Argument(metavar="REFERENCE", show_default=False)]

app = typer.Typer(
    cls=Group,
    help="A studio's day: many customers in, checked, trained, drawn, proofed, printed.",
    no_args_is_help=True,
    rich_markup_mode="rich",
)


app.command()(intake.template)


@app.command(epilog=EPILOG)
@guarded(resumes=True)
def run(
    tickets: Annotated[
        list[str], typer.Argument(metavar="FILE|FOLDER...", help="Tables and folders of orders.")
    ],
    *,
    out: intake.Where = "orders",
    workers: Workers = None,
    engine: Engine = "local",
    address: Address = None,
    split: Split = None,
    base: Base = None,
    preset: intake.Preset = None,
    overrides: Overrides = None,
    concepts_dir: ConceptsDir = "concepts",
    name: intake.Name = DEFAULT,
    proof_first: intake.ProofFirst = False,
    replace: Annotated[
        bool, typer.Option("--replace", help="Do orders anew whose content has changed.")
    ] = False,
    dry_run: DryRun = False,
) -> None:
    """Work on the orders of tables and folders; the same command goes on where it stopped.

    Exit code 1 when any order failed.
    """
    terms = terms_of(base, preset, overrides, concepts_dir, name, proof_first)
    read = read_all(tickets, Path(concepts_dir))
    if dry_run:
        describe(read, terms)
        return
    work_on(read, terms, Path(out), crew(workers, engine, address, split), replace)


def terms_of(
    base: str | None,
    preset: str | None,
    overrides: Sequence[str] | None,
    concepts_dir: str,
    name: str,
    proof_first: bool,
) -> "Terms":
    """What holds for a whole run, checked; folders are absolute from here on."""
    from ..configs.files import user_path
    from ..studio.extra import require

    for module in ("pydantic", "filelock", "pyvips", "img2pdf", "pikepdf"):
        require(module, "A day of orders")
    from ..studio.orders.terms import Terms, check_terms

    if base and base not in preset_names("base") and user_path(base).is_dir():
        base = str(user_path(base).absolute())
    folder = str(user_path(concepts_dir).absolute())
    terms = Terms(base, preset, tuple(overrides or ()), proof_first, folder, name)
    check_terms(terms)
    return terms


def read_all(tickets: Sequence[str], concepts_dir: Path) -> "list[Read]":
    """What all tables and folders hold."""
    from ..studio.orders.reading import read_orders

    return [read for path in tickets for read in read_orders(Path(path), concepts_dir.absolute())]


def describe(read: "Sequence[Read]", terms: "Terms") -> None:
    """List every order and every fault; nothing is written."""
    from ..studio.orders.preview import preview

    rows = [[escape(cell) for cell in preview(told, terms)] for told, _ in read]
    print_table("Orders", ("reference", "customer", "what", "faults"), rows)


def work_on(
    read: "Sequence[Read]",
    terms: "Terms",
    out: Path,
    work: Callable[..., dict[str, int]],
    replace: bool,
) -> None:
    """Enter what was read, work, and say what became of it; work: see `crew`."""
    from ..studio.orders.accept import accept
    from ..studio.orders.ledger import FILE, Ledger
    from ..studio.orders.states import FAILED

    ledger = Ledger(out / FILE)
    found = accept(ledger, read, terms, replace=replace)
    typer.echo(
        f"orders: {len(found.new)} new, {len(found.same)} known, {len(found.refused)} refused",
        err=True,
    )
    for reference, faults in found.refused.items():
        typer.echo(f"orders: {reference} refused: {'; '.join(faults)}", err=True)
    counts = work(out)
    print_counts(counts)
    print_waiting(ledger)
    console().print(f"The orders: {out.absolute() / 'out'}", soft_wrap=True, markup=False)
    if counts.get(FAILED):
        raise typer.Exit(1)


def print_counts(counts: dict[str, int]) -> None:
    """One line: how many orders are in each state."""
    from ..studio.orders.states import STATES

    told = [f"{counts[state]} {state}" for state in STATES if state in counts]
    console().print(", ".join(told) or "no orders", soft_wrap=True)


def print_waiting(ledger: "Ledger") -> None:
    """The proofs that wait for a person's word."""
    from ..studio.orders.states import PROOF

    for entry in ledger.entries([PROOF]):
        if entry.worker is None:
            line = f"{entry.reference} waits for approve: {entry.work / 'proof.jpg'}"
            console().print(line, soft_wrap=True, markup=False)


def open_ledger(out: str) -> "Ledger":
    """The ledger that is there; raises InputError where there is none."""
    from ..studio.extra import require

    require("pydantic", "An order")
    from ..studio.orders.ledger import FILE, Ledger

    path = Path(out) / FILE
    if not path.is_file():
        raise InputError(f"{path} does not exist; mosaic orders run begins one, or give --out.")
    return Ledger(path)


@app.command()
@guarded()
def status(*, out: intake.Where = "orders") -> None:
    """Tell how many orders are in each state, who works on what, what failed, what waits."""
    from ..studio.orders.states import CANCELLED, DELIVERED

    ledger = open_ledger(out)
    print_counts(ledger.counts())
    quiet = (DELIVERED, CANCELLED)
    rows = [[escape(cell) for cell in _line(e)] for e in ledger.entries() if e.state not in quiet]
    if rows:
        print_table("", ("reference", "customer", "due", "state", "worker", "why"), rows)
    print_waiting(ledger)


def _line(entry: "Entry") -> tuple[str, ...]:
    order = entry.order
    due = str(order.due) if order and order.due else ""
    customer = order.customer if order else ""
    return entry.reference, customer, due, entry.state, entry.worker or "", entry.reason


@app.command()
@guarded()
def show(reference: Reference, *, out: intake.Where = "orders") -> None:
    """Tell all that is known of one order: ticket, state, files, what it took, what happened."""
    ledger = open_ledger(out)
    entry = ledger.entry(reference)
    order = entry.order.model_dump(exclude_defaults=True) if entry.order else {}
    took = {f"{name} (s)": seconds for name, seconds in entry.took.items()}
    energy = {} if entry.joules is None else {"energy (kJ)": round(entry.joules / 1000, 2)}
    facts = {"state": entry.state, "reason": entry.reason, "worker": entry.worker or "",
             "attempts": entry.attempts, "folder": entry.work, **took, "device": entry.device,
             **energy}  # fmt: skip
    print_facts(reference, order | {name: value for name, value in facts.items() if value})
    rows = [
        (f"{datetime.fromtimestamp(e.at):%Y-%m-%d %H:%M:%S}", e.now, escape(e.why))
        for e in ledger.events(reference)
    ]
    print_table("", ("when", "state", "what happened"), rows)
    for path in entry.outputs.values():
        console().print(str(path), soft_wrap=True, markup=False)


@app.command()
@guarded()
def retry(
    references: References = None,
    *,
    failed: Annotated[bool, typer.Option("--failed", help="All that failed.")] = False,
    out: intake.Where = "orders",
) -> None:
    """Take up failed or cancelled orders again; the next run works on them."""
    from ..studio.orders.states import FAILED

    if bool(references) == failed:
        raise InputError("Name the orders to retry, or give --failed for all that failed.")
    ledger = open_ledger(out)
    wanted = references or [e.reference for e in ledger.entries([FAILED]) if e.order]
    for reference in wanted:
        ledger.retry(reference)
    console().print(f"{len(wanted)} to be done again", soft_wrap=True)


@app.command()
@guarded()
def cancel(
    references: Annotated[list[str], typer.Argument(metavar="REFERENCE...")],
    *,
    why: Annotated[str, typer.Option(help="Kept with the order.")] = "",
    out: intake.Where = "orders",
) -> None:
    """Take orders back; a worker that has one leaves it."""
    from ..studio.orders.decisions import cancel as take_back

    ledger = open_ledger(out)
    for reference in references:
        take_back(ledger, reference, why)


@app.command()
@guarded()
def approve(
    references: Annotated[list[str], typer.Argument(metavar="REFERENCE...")],
    *,
    out: intake.Where = "orders",
) -> None:
    """Let print files be made of orders whose proofs wait; the next run prints them."""
    ledger = open_ledger(out)
    for reference in references:
        ledger.approve(reference)


@app.command()
@guarded()
def reprint(
    reference: Reference,
    *,
    copies: Annotated[int, typer.Option(min=1, max=999, help="How many prints.")] = 1,
    out: intake.Where = "orders",
) -> None:
    """Print a delivered order again, into a folder beside its first files."""
    from ..studio.orders.decisions import print_again

    folder = print_again(open_ledger(out), reference, copies)
    console().print(str(folder), soft_wrap=True, markup=False)


@app.command()
@guarded()
def check(*, out: intake.Where = "orders") -> None:
    """Compare the ledger with the disk; exit code 1 and a line for each thing that is wrong."""
    from ..studio.orders.audit import check_orders

    ledger = open_ledger(out)
    faults = check_orders(ledger)
    for fault in faults:
        console().print(fault, soft_wrap=True, markup=False)
    print_counts(ledger.counts())
    if faults:
        raise typer.Exit(1)


app.command()(intake.watch)
app.command()(intake.report)
