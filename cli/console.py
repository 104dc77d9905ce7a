"""What the commands print: Rich on a terminal, plain lines of full width anywhere else."""

from collections.abc import Iterable, Mapping
from dataclasses import asdict
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from ..configs.describe import field_docs
from ..configs.settings import Settings

# Wide enough that a pipe or a log file gets whole lines.
_PIPE_WIDTH = 160


def console() -> Console:
    """Return a console on standard output."""
    found = Console(highlight=False)
    return found if found.is_terminal else Console(highlight=False, width=_PIPE_WIDTH)


def print_table(title: str, header: Iterable[str], rows: Iterable[Iterable[str]]) -> None:
    """Print a table; cells may carry Rich markup such as [green]yes[/]."""
    table = Table(title=title, title_justify="left", box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for name in header:
        table.add_column(name, overflow="fold")
    for row in rows:
        table.add_row(*row)
    console().print(table)


def print_facts(title: str, facts: Mapping[str, Any]) -> None:
    """Print one line per fact."""
    rows = [(name.replace("_", " "), _plain(value)) for name, value in facts.items()]
    print_table(escape(title), ("", ""), rows)


def print_settings(settings: Settings, *sections: str) -> None:
    """Print the resolved settings of some sections, each with its doc."""
    values = asdict(settings)
    for section in sections:
        docs = field_docs(section)
        rows = [(f"{section}.{k}", _plain(v), docs.get(k, "")) for k, v in values[section].items()]
        print_table(escape(f"\n[{section}]"), ("setting", "value", "meaning"), rows)


def _plain(value: Any) -> str:
    """Show a value without letting brackets in it act as markup."""
    if isinstance(value, list | tuple):
        value = ", ".join(str(item) for item in value)
    return escape(str(value))
