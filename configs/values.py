"""Turn values from TOML files and texts from the command line into a setting's declared type."""

import tomllib
from typing import Any

from .errors import InputError

_TRUE = ("true", "yes", "on", "1")
_FALSE = ("false", "no", "off", "0")
_WANTED = {
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    str: 'a text in quotes, "like this"',
    tuple: 'a list of texts, ["like", "this"]',
}


def from_toml(value: Any, kind: Any, name: str, source: str) -> Any:
    """Check a value of TOML's (or Python's) own types against the declared type.

    A whole number passes as a float, and a single text as a list of one; nothing else is converted.

    Raises:
        InputError: the value has another type.
    """
    if kind is bool and isinstance(value, bool):
        return value
    if kind is int and isinstance(value, int) and not isinstance(value, bool):
        return value
    if kind is float and isinstance(value, int | float) and not isinstance(value, bool):
        return float(value)
    if kind is str and isinstance(value, str):
        return value
    if _is_list(kind):
        items = (value,) if isinstance(value, str) else value
        if isinstance(items, list | tuple) and all(isinstance(item, str) for item in items):
            return tuple(items)
    raise _misfit(value, kind, name, source)


def from_text(text: str, kind: Any, name: str, source: str) -> Any:
    """Read a text such as "8", "1e-4", "off" or '["a", "b"]' as the declared type.

    Raises:
        InputError: the text cannot be read as that type.
    """
    if kind is str:
        return text
    if kind is bool and text.lower() in _TRUE + _FALSE:
        return text.lower() in _TRUE
    if _is_list(kind):
        return from_toml(_toml_list(text), kind, name, source)
    try:
        if kind in (int, float):
            return kind(text)
    except ValueError:
        pass
    raise _misfit(text, kind, name, source)


def _is_list(kind: Any) -> bool:
    return kind == tuple[str, ...]


def _toml_list(text: str) -> Any:
    """Read a TOML list; any other text is one item, since prompts contain commas."""
    if not text.startswith("["):
        return text
    try:
        return tomllib.loads(f"list = {text}")["list"]
    except tomllib.TOMLDecodeError:
        return None


def _misfit(value: Any, kind: Any, name: str, source: str) -> InputError:
    wanted = _WANTED[tuple if _is_list(kind) else kind]
    shown = f'"{value}"' if isinstance(value, str) else value
    return InputError(f"{source}: {name} must be {wanted}, not {shown}.")
