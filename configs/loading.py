"""How one run's settings come about: presets, base, concept.toml, --config file, options.

Each source is a table of settings (`tables.py`); later ones win, key by key, and a setting that
says in another way what an earlier source said takes its place (`Facts.replaces`).

A preset that says how much work to do (`fast`, `edlora`) yields to the base, which knows what it
needs: its own steps, rates, scale. What such a preset means on one base beside these stands in
`presets/KIND/BASE/NAME.toml`. A preset that is a method of its own (`paper`) says so in its
file (`stands_on_every_base`) and wins over the base: whoever names it gets its numbers.
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from .base import BaseSettings
from .files import user_path
from .mosaic import build_mosaic, setting_facts
from .presets import (
    load_base_preset,
    load_preset,
    preset_names,
    preset_of_kin,
    stands_on_every_base,
)
from .settings import Settings
from .tables import SECTIONS, Tables, put, put_override, read_tables
from .train import TrainSettings
from .values import from_option

DEFAULT_BASE = "starter"


def resolve(
    *,
    base: str | None = None,
    train: str | None = None,
    mosaic: str | None = None,
    recorded: Tables | None = None,
    concept_toml: Path | None = None,
    config: Path | None = None,
    overrides: Sequence[str] = (),
    options: Mapping[str, Any] | None = None,
) -> Settings:
    """Put together the settings of one run; later sources win.

    Order: the `train` and `mosaic` presets, the overlay of `base` (a preset or a local folder; None
    takes what the config file names, else the starter), what these presets mean on this base
    (`presets/train/starter/edlora-fast.toml`), those presets that stand on every base; or in place
    of all these the complete settings of an earlier run (`recorded`), with what is named anew over
    them. A training method that is named without a preset brings its own. Then `concept_toml`, a
    concept's own file, which may give training settings without the [train] line; `config`, a TOML
    file or a mosaic.json; `options` (dotted name to value; None is skipped); `overrides`
    ("train.rank=8").

    Raises InputError for an unknown preset, file or key, or a value that does not fit.
    """
    given = read_tables(config) if config else {}
    if base is not None:
        given.pop("base", None)
    typed = _typed(options or {}, overrides)
    own = read_tables(concept_toml, default_section="train") if _is_there(concept_toml) else {}
    train = train or _method_of(typed, given, own)
    presets = {kind: name for kind, name in (("train", train), ("mosaic", mosaic)) if name}
    if recorded is None:
        sources = list(_preset_sources(presets, base or _base_of(given)))
    else:
        sources = [recorded, *_given_anew(presets, base, recorded)]
    return _settings(_merged([*sources, own, given, typed]), typed)


def _is_there(path: Path | None) -> bool:
    return path is not None and path.is_file()


def _method_of(*sources: Tables) -> str | None:
    """The training method that is named first: without a preset its own says what it begins with.

    ED-LoRA's is what every base says anyway.
    """
    named = [tables["train"]["method"] for tables in sources if "method" in tables.get("train", {})]
    known = bool(named) and named[0] in preset_names("train") and named[0] != "edlora"
    return named[0] if known else None


def _preset_sources(presets: Mapping[str, str], base: str) -> Iterator[Tables]:
    """Presets, the base's overlay over them, what they mean on this base, and those that stand."""
    loaded = {(kind, name): load_preset(kind, name) for kind, name in presets.items()}
    standing = [named for named in loaded if stands_on_every_base(*named)]
    yield from (tables for named, tables in loaded.items() if named not in standing)
    yield load_base_preset(base)
    kin = preset_of_kin(base)
    for kind, name in loaded:
        if kin and name in preset_names(own := f"{kind}/{kin}"):
            yield load_preset(own, name)
    yield from (loaded[named] for named in standing)


def _given_anew(presets: Mapping[str, str], base: str | None, recorded: Tables) -> Iterator[Tables]:
    """What a preset or a base changes in settings that are complete already.

    Of a preset that is what it names, with the values that it has on this base.
    """
    for kind, name in presets.items():
        means = _merged(list(_preset_sources({kind: name}, base or _base_of(recorded))))
        yield {
            section: {key: means[section][key] for key in named}
            for section, named in load_preset(kind, name).items()
        }
    if base is not None:
        yield {"base": load_base_preset(base)["base"]}


def _merged(sources: Sequence[Tables]) -> Tables:
    tables: Tables = {section: {} for section in SECTIONS}
    for source in sources:
        for name in _replaced(source.get("mosaic", {})):
            tables["mosaic"].pop(name, None)
        for section, values in source.items():
            tables[section].update(values)
    return tables


def _replaced(given: Mapping[str, Any]) -> Iterator[str]:
    """Mosaic settings of earlier sources that `given` says in another way."""
    said = {name for name, value in given.items() if value not in ("", ())}
    for name in said:
        yield from set(setting_facts()[name].replaces) - said


def _typed(options: Mapping[str, Any], overrides: Sequence[str]) -> Tables:
    """What stands on the command line, as one source: options, then `--set`."""
    tables: Tables = {}
    for name, value in options.items():
        if value is not None:
            put(tables, name, value, from_option, source="command line")
    for override in overrides:
        put_override(tables, override)
    return tables


def _settings(tables: Tables, typed: Tables) -> Settings:
    """The settings; raises InputError for a typed one that has no effect."""
    base, train = BaseSettings(**tables["base"]), TrainSettings(**tables["train"])
    train.check_read(typed.get("train", {}))
    return Settings(base, train, build_mosaic(tables["mosaic"], frozenset(typed.get("mosaic", {}))))


def _base_of(given: Tables) -> str:
    """The base that settings name, a preset of ours or a folder; the starter without one."""
    named = given.get("base", {})
    name, source = named.get("name", DEFAULT_BASE), named.get("source", "")
    if name in preset_names("base"):
        return name
    return source if source and user_path(source).is_dir() else DEFAULT_BASE
