"""Read what a user chooses by name: lists on the command line, each name checked."""

from collections.abc import Iterable

from ..configs.errors import InputError
from ..configs.tables import nearest
from .protocol import LEVELS, PAIRS, Pair


def choose_names(text: str, known: Iterable[str], what: str, separator: str = ",") -> list[str]:
    """Read separated names of `known`, "all" for all of them; raises InputError.

    what: what they name, in the singular; the option that lists them is called so with an s.
    """
    names = list(known)
    chosen = [name.strip() for name in text.split(separator) if name.strip()]
    if chosen == ["all"]:
        return names
    if not chosen:
        raise InputError(f"--{what}s is empty; known: {', '.join(names)}.")
    for name in chosen:
        if name not in names:
            raise InputError(
                f'There is no {what} "{name}"{nearest(name, names)} Known: {", ".join(names)}.'
            )
    return list(dict.fromkeys(chosen))


def choose_pairs(text: str) -> list[Pair]:
    """Read comma-separated names of the paper's pairs, "all" for all; raises InputError."""
    by_name = {pair.name: pair for pair in PAIRS}
    return [by_name[name] for name in choose_names(text, by_name, "pair")]


def choose_seeds(text: str) -> list[int]:
    """Read comma-separated seeds; raises InputError."""
    return choose_numbers(text, "--seeds", 0)


def choose_levels(text: str) -> list[int]:
    """Read comma-separated mosaic levels, none where there is no text; raises InputError."""
    levels = choose_numbers(text, "--levels", 0) if text else []
    if max(levels, default=0) >= len(LEVELS):
        raise InputError(f'--levels takes mosaic levels from 0 to {len(LEVELS) - 1}, not "{text}".')
    return levels


def choose_numbers(text: str, option: str, at_least: int) -> list[int]:
    """Read comma-separated whole numbers, each once; raises InputError naming the option."""
    try:
        numbers = [int(part) for part in text.split(",")]
    except ValueError:
        numbers = [at_least - 1]
    if min(numbers) < at_least:
        raise InputError(
            f"{option} takes whole numbers from {at_least} up, such as {at_least},{at_least + 1}, "
            f'not "{text}".'
        )
    return list(dict.fromkeys(numbers))
