"""Turn values from TOML files and texts from the command line into a setting's declared type."""

import tomllib
from types import NoneType
from typing import Any, get_args

from .errors import InputError
from .fields import MAX_BITS

_TRUE = ("true", "yes", "on", "1")
_FALSE = ("false", "no", "off", "0")
_WANTED = {
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    str: 'a text in quotes, "like this"',
    tuple: 'a list of texts, ["like", "this"]',
}


def from_toml(value: Any, kind: Any, name: str, source: str, none: str = "") -> Any:
    """Check a value of TOML's (or Python's) own types against the declared type.

    A whole number passes as a float, a single text as a list of one, an empty one as an empty list;
    nothing else is converted.
    Where the setting may have no value, None and the word `none` both say so.

    Raises:
        InputError: the value has another type.
    """
    plain = plain_kind(kind)
    if none and (value is None or value == none):
        return None
    if plain is bool and isinstance(value, bool):
        return value
    if plain is int and isinstance(value, int) and not isinstance(value, bool):
        return value
    if plain is float and isinstance(value, int | float) and not isinstance(value, bool):
        return _as_float(value)
    if plain is str and isinstance(value, str):
        return value
    if _is_list(plain):
        items = (value,) * bool(value) if isinstance(value, str) else value
        if isinstance(items, list | tuple) and all(isinstance(item, str) for item in items):
            return tuple(items)
    raise _misfit(value, plain, name, source, none)


def from_text(text: str, kind: Any, name: str, source: str, none: str = "") -> Any:
    """Read a text such as "8", "1e-4", "off" or '["a", "b"]' as the declared type.

    Raises:
        InputError: the text cannot be read as that type.
    """
    plain = plain_kind(kind)
    if plain is str:
        return text
    if none and text.lower() == none:
        return None
    if plain is bool and text.lower() in _TRUE + _FALSE:
        return text.lower() in _TRUE
    if _is_list(plain):
        return from_toml(_toml_list(text), kind, name, source)
    try:
        if plain in (int, float):
            return plain(text)
    except ValueError:
        pass
    raise _misfit(text, plain, name, source, none)


def from_option(value: Any, kind: Any, name: str, source: str, none: str = "") -> Any:
    """A command-line option's value: a text where the setting may have none, else typed already."""
    if none and isinstance(value, str):
        return from_text(value, kind, name, source, none)
    return from_toml(value, kind, name, source, none)


def plain_kind(kind: Any) -> Any:
    """The type without `| None`."""
    kinds = [part for part in get_args(kind) if part is not NoneType]
    return kinds[0] if NoneType in get_args(kind) else kind


def _as_float(value: float) -> float:
    try:
        return float(value)
    except OverflowError:  # a whole number of hundreds of digits
        return float("inf")


def _is_list(kind: Any) -> bool:
    return kind == tuple[str, ...]


def _toml_list(text: str) -> Any:
    """Read a TOML list; any other text is one item, since prompts contain commas."""
    if not text.startswith("["):
        return text
    try:
        return tomllib.loads(f"list = {text}")["list"]
    except (ValueError, RecursionError):  # no TOML, a number of too many digits, too deep a list
        return None


def _misfit(value: Any, kind: Any, name: str, source: str, none: str) -> InputError:
    wanted = _WANTED[tuple if _is_list(kind) else kind] + (f' or "{none}"' if none else "")
    shown = f'"{value}"' if isinstance(value, str) else value
    if isinstance(value, int) and value.bit_length() > MAX_BITS:
        shown = f"a number of {value.bit_length()} bits"
    return InputError(f"{source}: {name} must be {wanted}, not {shown}.")
