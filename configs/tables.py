"""Settings as plain tables by section and name, `{"train": {"rank": 8}}`: read, checked, written.

Mosaic settings stand by their own names, without their group: a file, `--set` and an older
smalti's mosaic.json may say `mosaic.steps` or `mosaic.sampler.steps`. A key that is no setting is
refused with the name of the nearest one that is.
"""

import json
import tomllib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import fields
from difflib import get_close_matches
from functools import cache
from pathlib import Path
from typing import Any, get_type_hints

import tomli_w

from .base import BaseSettings
from .errors import InputError
from .fields import Facts, facts_of
from .files import write_text
from .mosaic import CHOSEN, setting_facts, setting_groups, setting_types
from .photos import DRAWN
from .settings import Settings, as_tables
from .train import TrainSettings
from .values import from_text, from_toml

Tables = dict[str, dict[str, Any]]
Convert = Callable[..., Any]

SECTIONS = ("base", "train", "mosaic")
_PLAIN = {"base": BaseSettings, "train": TrainSettings}


@cache
def known_types(section: str) -> dict[str, Any]:
    """The declared type of each setting of a section, by its own name."""
    if section == "mosaic":
        return setting_types()
    cls = _PLAIN[section]
    hints = get_type_hints(cls)
    return {entry.name: hints[entry.name] for entry in fields(cls)}


@cache
def known_facts(section: str) -> dict[str, Facts]:
    """The side facts of each setting of a section, by its own name."""
    if section == "mosaic":
        return setting_facts()
    return {entry.name: facts_of(entry) for entry in fields(_PLAIN[section])}


def setting_names() -> list[str]:
    """Every setting by its full dotted name, such as "train.rank" or "mosaic.sampler.steps"."""
    return [full_name(section, name) for section in SECTIONS for name in known_types(section)]


def full_name(section: str, name: str) -> str:
    """The dotted name of a setting, its group included."""
    if section != "mosaic":
        return f"{section}.{name}"
    return f"mosaic.{setting_groups()[name]}.{'name' if name in CHOSEN else name}"


def put(tables: Tables, name: str, value: Any, convert: Convert, source: str) -> None:
    """Add one setting by its dotted name; raises InputError for an unknown one or a misfit."""
    section, _, key = name.partition(".")
    if section == "mosaic":
        key = _own_name(key)
    if section not in SECTIONS or key not in known_types(section):
        raise InputError(f'{source}: unknown setting "{name}"{_nearest_setting(name)}')
    kind, none = known_types(section)[key], known_facts(section)[key].none
    tables.setdefault(section, {})[key] = convert(value, kind, name, source, none)


def _own_name(key: str) -> str:
    """A mosaic setting's name without its group, "" where it belongs to another group."""
    group, dot, name = key.partition(".")
    if not dot:
        return key
    if name == "name" and group in CHOSEN:
        return group
    return name if name not in CHOSEN and setting_groups().get(name) == group else ""


def _nearest_setting(name: str) -> str:
    """Suggest a full name; "rank" alone and "trian.rank" both lead to "train.rank"."""
    key, names = name.rpartition(".")[2], setting_names()
    by_key = [full for full in names if full.rpartition(".")[2] == key]
    short = [f"{section}.{own}" for section in SECTIONS for own in known_types(section)]
    return nearest(name, by_key or [*short, *names])


def nearest(name: str, known: Sequence[str]) -> str:
    """Return '; did you mean "..."?' for the nearest known name, or a full stop."""
    close = get_close_matches(name, known, n=1, cutoff=0.5)
    return f'; did you mean "{close[0]}"?' if close else "."


def put_override(tables: Tables, text: str) -> None:
    """Add one dotted override such as "train.rank=8" or "base.source=/models/mine"."""
    name, equals, value = text.partition("=")
    if not equals:
        raise InputError(f'--set needs SECTION.KEY=VALUE, for example train.rank=8, not "{text}".')
    put(tables, name.strip(), value.strip(), from_text, source="--set")


def read_tables(path: Path, default_section: str | None = None) -> Tables:
    """Read a TOML file or a mosaic.json into tables with checked keys and values.

    Keys outside any table belong to `default_section`; without one they are refused.

    Raises:
        InputError: no such file, not TOML, unknown key, value of the wrong type.
    """
    return checked_tables(read_settings_file(path), str(path), default_section)


def checked_tables(content: Any, source: str, default_section: str | None = None) -> Tables:
    """Tables with checked keys and values from nested ones; raises InputError."""
    tables: Tables = {}
    for name, value in _dotted(content, default_section):
        put(tables, name, value, from_toml, source)
    return tables


def _dotted(content: dict[str, Any], default_section: str | None) -> Iterator[tuple[str, Any]]:
    """Yield dotted names and values; keys outside any table get the default section."""
    for key, value in content.items():
        if isinstance(value, dict) and (value or key in SECTIONS):
            for name, inner in _flattened(value):
                yield f"{key}.{name}", inner
        elif default_section and key not in SECTIONS:
            yield f"{default_section}.{key}", value
        else:
            yield key, value


def _flattened(table: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    for key, value in table.items():
        if isinstance(value, dict):
            yield from ((f"{key}.{name}", inner) for name, inner in _flattened(value))
        else:
            yield key, value


def read_settings_file(path: Path) -> dict[str, Any]:
    """Read a TOML file, or the settings that a mosaic.json holds; raises InputError."""
    try:
        text = path.read_text(encoding="utf-8")
        return recorded(json.loads(text)) if path.suffix == ".json" else tomllib.loads(text)
    except OSError as error:
        raise InputError(f"Cannot read the settings file {path}: {error.strerror}.") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InputError(f"{path} is not valid TOML: {error}.") from error
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise InputError(f"{path} holds no settings; give a TOML file or a mosaic.json.") from error


def recorded(record: dict[str, Any]) -> dict[str, Any]:
    """The settings that the content of a mosaic.json holds; KeyError where there are none."""
    settings = record["settings"]
    if record.get("format", 1) > 1:
        return as_photos_were(settings)
    return {section: without_zeros(section, values) for section, values in settings.items()}


def as_photos_were(settings: dict[str, Any]) -> dict[str, Any]:
    """Settings of a mosaic whose photos were drawn over before they kept anything, in full."""
    mosaic = settings.get("mosaic", {})
    photos, picture = mosaic.get("photos", {}), mosaic.get("picture", {})
    if not photos_of_then(photos):
        return {**settings}
    kept = nothing_kept(picture["low_pass_cells"])
    return settings | {"mosaic": mosaic | {"photos": photos | kept}}


def nothing_kept(low_pass_cells: int) -> dict[str, Any]:
    """The settings by which photos were drawn over before they kept anything."""
    return {"photo_cells": low_pass_cells, "photo_keep": 0.0}


def photos_of_then(values: dict[str, Any]) -> bool:
    """Whether settings by name are of photos that may be drawn over, and know nothing of keeping.

    A mosaic's identity or its settings of photos; a list may have photos drawn over by itself.
    """
    drawn = values.get("photo_mode") == DRAWN or bool(values.get("photo_places"))
    return drawn and "photo_keep" not in values


def without_zeros(section: str, values: dict[str, Any]) -> dict[str, Any]:
    """Values of the first format, in which 0 stood for "auto" and "off"."""
    facts = known_facts(section)

    def meant(name: str, value: Any) -> Any:
        word = facts[name].none if name in facts else ""
        return word if word and value == 0 else value

    return {name: meant(name, value) for name, value in values.items()}


def settings_toml(settings: Settings) -> str:
    """Return the settings as TOML text that `--config` reads."""
    return tomli_w.dumps(as_tables(settings))


def save_settings(settings: Settings, path: Path) -> None:
    """Write the settings as TOML, whole or not at all."""
    write_text(path, settings_toml(settings))
