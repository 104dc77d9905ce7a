"""Read orders from a CSV, from a folder with a ticket, and from a folder of such folders."""

import csv
import io
import json
import tomllib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from ...configs.errors import InputError
from ...configs.tables import nearest
from .litter import is_litter
from .ticket import BadTicket, Order, check_ticket

TICKETS = ("order.toml", "order.json")
SEPARATORS = ",;\t"
LIST_SEPARATOR = "|"
LISTS = ("tile_concepts", "tile_prompts")
COMMENT = "# "  # "#1001" is what shops call an order
ENCODINGS = ((b"\xef\xbb\xbf", "utf-8-sig"), (b"\xff\xfe", "utf-16"), (b"\xfe\xff", "utf-16"))
CELL_ERRORS = ("#REF!", "#N/A", "#NAME?", "#VALUE!", "#DIV/0!", "#NULL!", "#NUM!", "####")


class Read(NamedTuple):
    """What one ticket told, and the folder that it lies in."""

    told: Order | BadTicket
    folder: Path


def read_orders(
    path: Path, concepts_dir: Path = Path("concepts"), *, inside: bool = False
) -> Iterator[Read]:
    """The orders of a CSV, of an order's folder, or of all CSVs and folders in a folder.

    A bad one never hides the others. inside: whether a CSV, as a ticket always, may name only what
    lies in its folder. Raises InputError where there is nothing to read, or for a CSV that is none
    or has wrong columns.
    """
    if path.is_file():
        yield from read_csv(path, concepts_dir, inside=inside)
        return
    if not path.is_dir():
        raise InputError(f"{path} does not exist; give a CSV or a folder of orders.")
    if tickets_in(path):
        yield read_folder(path, concepts_dir)
        return
    within = sorted(entry for entry in path.iterdir() if not is_litter(entry.name))
    tables = [entry for entry in within if entry.suffix.lower() == ".csv" and entry.is_file()]
    # Beside a CSV lie folders of photos, else each folder is to be an order.
    folders = [p for p in within if p.is_dir() and (tickets_in(p) or not tables)]
    if not tables + folders:
        raise InputError(f"{path} holds no orders: no CSV, and no folder with {TICKETS[0]}.")
    for table in tables:
        yield from read_csv(table, concepts_dir, inside=inside)
    for folder in folders:
        yield read_folder(folder, concepts_dir)


def tickets_in(folder: Path) -> list[Path]:
    """The tickets of an order's folder; one is right. Case does not matter."""
    return sorted(p for p in folder.iterdir() if p.name.lower() in TICKETS and p.is_file())


def read_folder(folder: Path, concepts_dir: Path = Path("concepts")) -> Read:
    """The order of a folder with a ticket, which may name only what lies in that folder."""
    try:
        values = ticket_values(folder)
        return Read(check_ticket(values, folder, concepts_dir=concepts_dir), folder)
    except BadTicket as bad:
        return Read(BadTicket(bad.reference or folder.name, bad.faults), folder)


def ticket_values(folder: Path) -> dict[str, Any]:
    """What the ticket of a folder says; raises BadTicket where it cannot be read."""
    tickets = tickets_in(folder)
    if len(tickets) != 1:
        what = f"holds both {' and '.join(TICKETS)}" if tickets else f"holds no {TICKETS[0]}"
        raise BadTicket("", [f"{folder.name} {what}"])
    try:
        return parse_ticket(tickets[0].read_bytes(), tickets[0].suffix.lower())
    except (ValueError, OSError, RecursionError) as error:
        raise BadTicket("", [f"{tickets[0].name} cannot be read: {error}"]) from error


def parse_ticket(content: bytes, suffix: str) -> dict[str, Any]:
    """The fields in a ticket's bytes; raises ValueError for what is no table of fields.

    suffix: ".toml" or ".json".
    """
    text = content.decode("utf-8-sig")
    if suffix == ".toml":
        return tomllib.loads(text)
    found = json.loads(text, object_pairs_hook=_once)
    if not isinstance(found, dict):
        raise ValueError('it must be an object of fields, {"reference": ...}')
    return found


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    twice = [name for name, count in Counter(name for name, _ in pairs).items() if count > 1]
    if twice:
        raise ValueError(f"{twice[0]} is said twice")
    return dict(pairs)


def read_csv(
    path: Path, concepts_dir: Path = Path("concepts"), *, inside: bool = False
) -> Iterator[Read]:
    """The orders of a CSV, row by row; paths start from the folder that it lies in.

    Raises InputError for a file that is no CSV in UTF-8 or UTF-16, and for wrong columns, all of
    them named.
    """
    seen: dict[str, tuple[int, str]] = {}
    for line, values in csv_values(path):
        where = f"{path.name} line {line}"
        try:
            if isinstance(values, BadTicket):
                raise values
            told = check_ticket(values, path.parent, concepts_dir=concepts_dir, inside=inside)
            _refuse_second(told, line, seen)
        except BadTicket as bad:
            faults = [f"{where}: {fault}" for fault in bad.faults]
            told = BadTicket(bad.reference or where, faults)
        yield Read(told, path.parent)


def csv_values(path: Path) -> Iterator[tuple[int, dict[str, Any] | BadTicket]]:
    """Line and fields of each row of a CSV, unchecked; raises InputError as `read_csv` does."""
    header, rows = _table(path)
    for line, cells in rows:
        try:
            yield line, _row_values(header, cells)
        except BadTicket as bad:
            yield line, bad


def _table(path: Path) -> tuple[list[str], list[tuple[int, list[str]]]]:
    """The names of the columns, and the other rows that say something with their lines' numbers."""
    text = _decoded(path)
    first, _, rest = text.partition("\n")
    marked = first.strip().strip('"').lower()
    if marked.startswith("sep=") and len(marked) == 5:  # Excel's own first line
        return _split(path, rest, marked[4], 1)
    return _split(path, text, "", 0)


def _decoded(path: Path) -> str:
    try:
        content = path.read_bytes()
        encoding = next((e for mark, e in ENCODINGS if content.startswith(mark)), "utf-8")
        return content.decode(encoding).replace("\r\n", "\n").replace("\r", "\n")
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}.") from error
    except UnicodeDecodeError as error:
        raise InputError(
            f"{path} is not UTF-8 text. Save it in Excel as CSV UTF-8 (comma delimited)."
        ) from error


def _split(
    path: Path, text: str, separator: str, skipped: int
) -> tuple[list[str], list[tuple[int, list[str]]]]:
    """Columns and rows of a CSV's text; skipped: lines above it."""
    separator = separator or _separator(text)
    reader = csv.reader(io.StringIO(text), delimiter=separator, strict=True)
    rows = []
    try:
        for cells in reader:
            if any(cell.strip() for cell in cells) and not cells[0].startswith(COMMENT):
                rows.append((reader.line_num + skipped, cells))
    except csv.Error as error:
        line = reader.line_num + skipped
        raise InputError(
            f"{path} line {line}: {error}. Close each quote that is opened."
        ) from error
    if not rows:
        raise InputError(f"{path} is empty; mosaic orders template writes an example.")
    return _columns(path, rows[0][1]), rows[1:]


def _separator(text: str) -> str:
    """The separator with which the first row that says something has most known columns."""
    lines = (line for line in text.splitlines() if line.strip() and not line.startswith(COMMENT))
    first = next(lines, "")
    return max(SEPARATORS, key=lambda s: (len(_known(first.split(s))), first.count(s)))


def _known(cells: list[str]) -> set[str]:
    return Order.model_fields.keys() & {_column(cell) for cell in cells}


def _column(cell: str) -> str:
    """A column's name as people write it: "Class word" is class_word."""
    return "_".join(cell.strip().strip('"').lower().replace("-", " ").split())


def _columns(path: Path, cells: list[str]) -> list[str]:
    """The checked names of the columns; raises InputError that names every wrong one."""
    names = [_column(cell) for cell in cells]
    while names and not names[-1]:
        names.pop()
    known = list(Order.model_fields)
    wrong = [f'unknown column "{n}"{nearest(n, known)}' for n in names if n and n not in known]
    wrong += [f'column "{n}" twice.' for n, count in Counter(names).items() if n and count > 1]
    if "reference" not in names:
        wrong.append('no column "reference".')
    if wrong:
        raise InputError(f"{path}: {' '.join(wrong)} Known: {', '.join(known)}.")
    return names


def _row_values(header: list[str], cells: list[str]) -> dict[str, Any]:
    """The fields of a row; raises BadTicket for a formula's error and cells without a column."""
    values: dict[str, Any] = dict(zip(header, (cell.strip() for cell in cells), strict=False))
    faults = [f"{name} holds the spreadsheet's error {cell}"
              for name, cell in values.items() if cell.startswith(CELL_ERRORS)]  # fmt: skip
    if values.pop("", "") or any(cell.strip() for cell in cells[len(header) :]):
        faults.append("a cell belongs to no column; texts with separators need quotes")
    if faults:
        raise BadTicket(values.get("reference", ""), faults)
    for name in LISTS:
        if values.get(name):
            values[name] = [part.strip() for part in values[name].split(LIST_SEPARATOR)]
    return values


def _refuse_second(order: Order, line: int, seen: dict[str, tuple[int, str]]) -> None:
    """Refuse another order under a reference that stood above; the same told again is no fault.

    Raises BadTicket under a name of its own: the order above is not the one that is refused.
    """
    digest = order.digest()
    above, earlier = seen.setdefault(order.reference, (line, digest))
    if earlier != digest:
        fault = f"reference {order.reference} stands on line {above} already, with other content"
        raise BadTicket(f"{order.reference} (line {line})", [fault])
