"""What the commands print: Rich on a terminal, plain lines of full width anywhere else."""

import sys
from collections.abc import Iterable, Iterator, Mapping
from io import TextIOWrapper
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from ..configs.base import BaseSettings
from ..configs.describe import field_docs
from ..configs.progress import say
from ..configs.settings import Settings, as_tables

# Wide enough that a pipe or a log file gets whole lines.
_PIPE_WIDTH = 160


def console() -> Console:
    """Return a console on standard output, which passes bytes of file names that are no text."""
    if isinstance(sys.stdout, TextIOWrapper) and sys.stdout.errors == "strict":
        sys.stdout.reconfigure(errors="surrogateescape")
    found = Console(highlight=False)
    return found if found.is_terminal else Console(highlight=False, width=_PIPE_WIDTH)


def print_table(title: str, header: Iterable[str], rows: Iterable[Iterable[str]]) -> None:
    """Print a table; cells, not its title, may carry Rich markup such as [green]yes[/]."""
    table = Table(
        title=escape(title), title_justify="left", box=None, pad_edge=False, padding=(0, 2, 0, 0)
    )
    for name in header:
        table.add_column(name, overflow="fold")
    for row in rows:
        table.add_row(*row)
    console().print(table)


def print_facts(title: str, facts: Mapping[str, Any]) -> None:
    """Print one line per fact, and one for each item of a list."""
    rows = [
        (
            name.replace("_", " "),
            "\n".join(map(_plain, value if isinstance(value, list) else [value])),
        )
        for name, value in facts.items()
    ]
    print_table(title, ("", ""), rows)


def say_licence(base: BaseSettings) -> None:
    """One line on standard error where a base's licence does not let every studio use it."""
    if base.license_note:
        say(f"Note: {base.name} is under {base.license}: {base.license_note}.")


def print_settings(settings: Settings, *sections: str) -> None:
    """Print the resolved settings of some sections, each with its doc."""
    tables = as_tables(settings)
    for section in sections:
        rows = [
            (name, _plain(value), docs)
            for name, value, docs in _setting_rows(section, tables[section])
        ]
        print_table(f"\n[{section}]", ("setting", "value", "meaning"), rows)


def _setting_rows(section: str, table: Mapping[str, Any]) -> Iterator[tuple[str, Any, str]]:
    """Dotted name, value and doc of each setting, through the groups of a section."""
    docs = field_docs(section)
    for key, value in table.items():
        if isinstance(value, dict):
            for name, inner in value.items():
                doc = docs[key if name == "name" else name]
                yield f"{section}.{key}.{name}", inner, doc
        else:
            yield f"{section}.{key}", value, docs.get(key, "")


def _plain(value: Any) -> str:
    """Show a value without letting brackets in it act as markup."""
    if isinstance(value, list | tuple):
        value = ", ".join(str(item) for item in value)
    return escape(str(value))
