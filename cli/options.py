"""Command-line options made from the settings classes, where names, types and help texts live."""

import functools
import inspect
from collections.abc import Callable
from typing import Annotated, Any

import typer
from rich.markup import escape

from ..configs.describe import field_docs
from ..configs.settings import Settings
from ..configs.tables import known_facts, known_types
from ..configs.values import plain_kind

Command = Callable[..., Any]

_REPEATABLE = " Repeatable."
_METAVARS = {int: "INTEGER", float: "FLOAT"}

Base = Annotated[
    str | None,
    typer.Option(
        "--base",
        metavar="NAME|FOLDER",
        help="Base model: a preset (see mosaic bases) or a folder in diffusers' layout.",
        show_default="starter",
    ),
]
Overrides = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="SECTION.KEY=VALUE",
        help="Any other setting, such as train.rank=8; repeatable. --dry-run shows them all.",
    ),
]
Config = Annotated[
    str | None,
    typer.Option(
        "--config",
        metavar="FILE",
        help="Settings in TOML, or a mosaic.json; wins over presets, options win over it.",
    ),
]
DryRun = Annotated[
    bool,
    typer.Option("--dry-run", "-n", help="Show what would be done and with what, and do nothing."),
]
ConceptsDir = Annotated[
    str,
    typer.Option("--concepts-dir", metavar="FOLDER", help="Where the concept folders lie."),
]


def _print_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        typer.echo(f"smalti {version('smalti')}")
        raise typer.Exit


Version = Annotated[
    bool,
    typer.Option(
        "--version",
        help="Print the version and stop.",
        callback=_print_version,
        is_eager=True,
    ),
]


def examples(*pairs: tuple[str, str], resumes: bool = False) -> str:
    """Return worked examples, (command, what it does) each, as the end of a help text.

    resumes: whether such a command goes on where it was, which is said below them.
    """
    lines = [f"[bold]{escape(command)}[/]  [dim]{escape(what)}[/]" for command, what in pairs]
    note = ["Interrupted? The same command goes on where it stopped."] if resumes else []
    return "\n\n".join(["Examples", *lines, *note])


def with_settings(section: str, *names: str) -> Callable[[Command], Command]:
    """Give a command one option per named field of a settings section.

    The command receives them as one more argument, `options`: dotted name to value, None where the
    option was not given, as `resolve(options=...)` takes it.
    """
    parameters = [_parameter(section, name) for name in names]

    def decorate(command: Command) -> Command:
        @functools.wraps(command)
        def wrapper(*args: Any, **kwargs: Any) -> Any:
            values = {name: kwargs.pop(name) for name in names}
            options = {f"{section}.{name}": value for name, value in values.items()}
            return command(*args, options=options, **kwargs)

        _extend_signature(wrapper, command, parameters)
        return wrapper

    return decorate


def _extend_signature(wrapper: Any, command: Command, more: list[inspect.Parameter]) -> None:
    """Typer reads `__signature__` and `__annotations__`; the latter of the unwrapped function."""
    old = inspect.signature(command)
    kept = [p for p in old.parameters.values() if p.name != "options"]
    wrapper.__signature__ = old.replace(parameters=[*kept, *more])
    wrapper.__annotations__ = {p.name: p.annotation for p in [*kept, *more]}
    del wrapper.__wrapped__


def _parameter(section: str, name: str) -> inspect.Parameter:
    """One keyword option; its default is None, so that presets decide when it is not given.

    An option that also takes a word such as "auto" is a text, read by the settings' own rules.
    """
    kind, none = plain_kind(known_types(section)[name]), known_facts(section)[name].none
    many = kind == tuple[str, ...]
    flag = "--" + name.replace("_", "-")
    option = typer.Option(
        f"{flag}/--no-{flag[2:]}" if kind is bool else flag,
        help=escape(field_docs(section)[name]) + _REPEATABLE * many,
        metavar=f"{_METAVARS[kind]}|{none}" if none else None,
        show_default=_shown(_default(section, name), none),
        rich_help_panel="Settings",
    )
    kind = list[str] if many else str if none else kind
    return inspect.Parameter(
        name,
        inspect.Parameter.KEYWORD_ONLY,
        default=None,
        annotation=Annotated[kind | None, option],
    )


def _default(section: str, name: str) -> Any:
    group = getattr(Settings(), section)
    values = group.flat() if section == "mosaic" else vars(group)
    return values[name]


def _shown(default: Any, none: str) -> str | bool:
    if isinstance(default, bool):
        return "on" if default else "off"
    if default is None:
        return none
    return str(default) if default not in ("", ()) else False
