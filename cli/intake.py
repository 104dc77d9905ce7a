"""`mosaic orders template`, `watch` and `report`: how orders come in, and what became of them."""

from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..configs.errors import InputError
from ..configs.presets import preset_names
from ..studio.orders.naming import DEFAULT
from .boundary import guarded
from .console import console, print_table
from .crew import Address, Engine, Split, Workers, crew
from .options import Base, ConceptsDir, Overrides

if TYPE_CHECKING:
    from ..studio.orders.report import Day

FORMATS = ("table", "csv", "json", "pdf")

Where = Annotated[
    str, typer.Option("--out", metavar="FOLDER", help="Folder of the ledger and of all its files.")
]
Preset = Annotated[
    str | None,
    typer.Option(help=f"Of orders that name none: {', '.join(preset_names('mosaic'))}."),
]
Name = Annotated[str, typer.Option(metavar="TEMPLATE", help="Folders of finished orders.")]
ProofFirst = Annotated[bool, typer.Option("--proof-first", help="Print only what is approved.")]
Poll = Annotated[
    bool, typer.Option("--poll", help="Look for changes: network shares tell of none.")
]
Quiet = Annotated[
    float, typer.Option(min=0, help="Seconds without a change, then a file is there.")
]
Patience = Annotated[
    float, typer.Option(min=0, help="Seconds that a ticket waits for missing files.")
]


@guarded()
def template(
    folder: Annotated[str, typer.Argument(metavar="FOLDER", help="Where it goes.")] = "examples",
    *,
    concepts_dir: ConceptsDir = "concepts",
) -> None:
    """Write an example of a CSV and of an order's folder, each field explained; both work."""
    from ..studio.extra import require

    require("pydantic", "An order")
    from ..studio.orders.template import write_template

    for path in write_template(Path(folder), Path(concepts_dir)):
        console().print(str(path), soft_wrap=True, markup=False)


@guarded(resumes=True)
def watch(
    inbox: Annotated[str, typer.Argument(metavar="INBOX", help="The hot folder.")],
    *,
    out: Where = "orders",
    workers: Workers = None,
    engine: Engine = "local",
    address: Address = None,
    split: Split = None,
    base: Base = None,
    preset: Preset = None,
    overrides: Overrides = None,
    concepts_dir: ConceptsDir = "concepts",
    name: Name = DEFAULT,
    proof_first: ProofFirst = False,
    poll: Poll = False,
    quiet: Quiet = 2.0,
    patience: Patience = 30.0,
) -> None:
    """Work on whatever is put into INBOX/incoming, until Ctrl+C; the same command goes on.

    Orders go through working/ to done/, or to failed/ with a reason.txt.
    """
    from ..studio.extra import require
    from .orders import terms_of

    require("watchfiles", "A hot folder")
    terms = terms_of(base, preset, overrides, concepts_dir, name, proof_first)
    from ..studio.orders.inbox import Inbox, listening
    from ..studio.orders.ledger import FILE, Ledger

    work = crew(workers, engine, address, split)
    hot = Inbox(Path(inbox), Ledger(Path(out) / FILE), terms, quiet=quiet, patience=patience)
    typer.echo(f"orders: watching {hot.incoming}; results go to {Path(out) / 'out'}", err=True)
    try:
        with listening(hot, poll=poll):
            work(Path(out), endless=True, tick=hot.tick)
    finally:
        hot.close()


@guarded()
def report(
    *,
    out: Where = "orders",
    day: Annotated[
        str | None, typer.Option(metavar="DATE", help="Such as 2026-12-24.", show_default="today")
    ] = None,
    format_: Annotated[
        str, typer.Option("--format", help=f"One of {', '.join(FORMATS)}.")
    ] = "table",
    to: Annotated[
        str | None,
        typer.Option(
            metavar="FILE",
            help="Where it goes.",
            show_default="standard output; a PDF to report-DATE.pdf beside the ledger",
        ),
    ] = None,
) -> None:
    """Tell what was delivered and failed on a day, how long it took, and what it sums up to."""
    if format_ not in FORMATS:
        raise InputError(f'--format must be one of {", ".join(FORMATS)}, not "{format_}".')
    when = _day(day)
    from .orders import open_ledger

    ledger = open_ledger(out)
    from ..studio.orders import report as reports

    found = reports.day_of(ledger, when)
    if format_ == "table":
        _print_day(found)
    elif format_ == "pdf":
        path = Path(to) if to else Path(out) / f"report-{when}.pdf"
        console().print(str(reports.write_pdf(found, path)), soft_wrap=True, markup=False)
    else:
        _write({"csv": reports.as_csv, "json": reports.as_json}[format_](found), to)


def _day(text: str | None) -> date:
    try:
        return date.fromisoformat(text) if text else date.today()
    except ValueError as error:
        raise InputError(f'--day "{text}" is no date; write it as 2026-12-24.') from error


def _write(text: str, to: str | None) -> None:
    from ..configs.files import write_text

    if to:
        write_text(Path(to), text)
    else:
        typer.echo(text.lstrip("\ufeff"), nl=False)


def _print_day(found: "Day") -> None:
    """A table of the orders, and the sums below it."""
    from rich.markup import escape

    from ..studio.orders.report import sentences

    columns = ("reference", "customer", "state", "product", "copies", "training_s", "drawing_s",
               "printing_s", "reason")  # fmt: skip
    rows = [[escape(str(row[name])) for name in columns] for row in found.rows]
    print_table(f"Orders of {found.day}", columns, rows)
    for line in sentences(found):
        console().print(line, soft_wrap=True, markup=False)
