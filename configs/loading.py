"""How one run's settings come about: preset, base overlay, concept.toml, --config file, options.

Each source is a plain table `{"train": {"rank": 8}}`; later ones win, key by key but for
`ALTERNATIVES`. A key that is no field of the settings classes is refused with the name of the
nearest one that is.
"""

import json
import tomllib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, fields
from difflib import get_close_matches
from functools import cache
from pathlib import Path
from types import UnionType
from typing import Any, get_type_hints

from .errors import InputError
from .files import write_text
from .settings import BaseSettings, MosaicSettings, Settings, TrainSettings
from .values import from_text, from_toml

Tables = dict[str, dict[str, Any]]

PRESET_KINDS = ("base", "train", "mosaic")
SECTIONS = {"base": BaseSettings, "train": TrainSettings, "mosaic": MosaicSettings}
DEFAULT_BASE = "starter"
ALTERNATIVES = (
    ({"ref"}, {"ref_lora", "ref_prompt"}),
    ({"level"}, {"grid"}),
    ({"pool"}, {"tile_lora", "tile_prompt"}),
)
"""Mosaic settings that say one thing in two ways: the way of a later source replaces the other."""
_PRESETS = Path(__file__).parent


def preset_names(kind: str) -> list[str]:
    """Return the names of the presets of a kind: "base", "train" or "mosaic"."""
    return sorted(path.stem for path in (_PRESETS / kind).glob("*.toml"))


def setting_names() -> list[str]:
    """Return every setting by its dotted name, such as "train.rank"."""
    return [f"{section}.{name}" for section in SECTIONS for name in _types(section)]


def resolve(
    *,
    base: str | None = None,
    train: str | None = None,
    mosaic: str | None = None,
    concept_toml: Path | None = None,
    config: Path | None = None,
    overrides: Sequence[str] = (),
    options: Mapping[str, Any] | None = None,
) -> Settings:
    """Put together the settings of one run; later sources win, also over `ALTERNATIVES`.

    Order: `train` and `mosaic` presets, overlays of the base preset, what these presets mean on
    this base (`configs/train/starter/edlora-fast.toml`), `concept_toml`, `config`, `options`
    (dotted name to value; None is skipped), `overrides` ("train.rank=8").

    Args:
        base: a base preset or a local folder in diffusers' layout; None takes the one that the
            config file names, else the starter.
        train: a training preset; None takes the defaults of `TrainSettings`.
        mosaic: a mosaic preset; None takes the defaults of `MosaicSettings`.
        concept_toml: a concept's own file; it may give training settings without the [train] line.
        config: a TOML file, for example one that `save_settings` wrote, or a mosaic.json.
        overrides: texts "section.key=value".
        options: values from the command line.

    Raises:
        InputError: unknown preset, file, key, or a value that does not fit.
    """
    given = read_tables(config) if config else {}
    if base is not None:
        given.pop("base", None)
    chosen = base or _base_of(given)
    tables: Tables = {section: {} for section in SECTIONS}
    presets = {kind: name for kind, name in (("train", train), ("mosaic", mosaic)) if name}
    for kind, name in presets.items():
        _merge(tables, load_preset(kind, name))
    _merge(tables, load_base_preset(chosen))
    for kind, name in presets.items():
        if name in preset_names(own := f"{kind}/{chosen}"):
            _merge(tables, load_preset(own, name))
    if concept_toml is not None and concept_toml.is_file():
        _merge(tables, read_tables(concept_toml, default_section="train"))
    _merge(tables, given)
    _merge(tables, _typed(options or {}, overrides))
    return _settings(tables)


def overlaid(
    settings: Settings,
    *,
    base: str | None = None,
    overrides: Sequence[str] = (),
    options: Mapping[str, Any] | None = None,
) -> Settings:
    """Return settings of an earlier run with what is given now over them; as `resolve` raises."""
    tables: Tables = {section: dict(vars(getattr(settings, section))) for section in SECTIONS}
    if base is not None:
        tables["base"] = load_base_preset(base)["base"]
    _merge(tables, _typed(options or {}, overrides))
    return _settings(tables)


def _settings(tables: Tables) -> Settings:
    return Settings(*(cls(**tables[section]) for section, cls in SECTIONS.items()))


def load_preset(kind: str, name: str) -> Tables:
    """Read a preset of this package; raises InputError naming the known ones."""
    path = _PRESETS / kind / f"{name}.toml"
    names = preset_names(kind)
    if name not in names:
        raise InputError(
            f'There is no {kind} preset "{name}"{nearest(name, names)} '
            f"Known {kind} presets: {', '.join(names)}."
        )
    return read_tables(path)


def load_base_preset(name: str) -> Tables:
    """Read a base preset, or the facts of a local folder in diffusers' layout."""
    if name in preset_names("base"):
        tables = load_preset("base", name)
        return tables | {"base": {"name": name} | tables.get("base", {})}
    folder = Path(name).expanduser()
    if folder.is_dir():
        return {"base": _folder_facts(folder)}
    names = preset_names("base")
    raise InputError(
        f'"{name}" is neither a base preset nor a folder{nearest(name, names)} Known base presets: '
        f"{', '.join(names)}; or give a folder that StableDiffusionPipeline.from_pretrained loads."
    )


def read_tables(path: Path, default_section: str | None = None) -> Tables:
    """Read a settings file into tables with checked keys and values.

    Keys outside any table belong to `default_section`; without one they are refused.

    Raises:
        InputError: no such file, not TOML, unknown key, value of the wrong type.
    """
    tables: Tables = {}
    for name, value in _dotted(_read_file(path), default_section):
        _put(tables, name, value, from_toml, source=str(path))
    return tables


def _put_override(tables: Tables, text: str) -> None:
    """Add one dotted override such as "train.rank=8" or "base.source=/models/mine"."""
    name, equals, value = text.partition("=")
    if not equals:
        raise InputError(f'--set needs SECTION.KEY=VALUE, for example train.rank=8, not "{text}".')
    _put(tables, name.strip(), value.strip(), from_text, source="--set")


def settings_toml(settings: Settings) -> str:
    """Return the settings as TOML text that `--config` reads."""
    lines = []
    for section, values in asdict(settings).items():
        lines += [f"[{section}]", *(f"{key} = {_literal(v)}" for key, v in values.items()), ""]
    return "\n".join(lines)


def save_settings(settings: Settings, path: Path) -> None:
    """Write the settings as TOML, whole or not at all."""
    write_text(path, settings_toml(settings))


def nearest(name: str, known: Sequence[str]) -> str:
    """Return '; did you mean "..."?' for the nearest known name, or a full stop."""
    close = get_close_matches(name, known, n=1, cutoff=0.5)
    return f'; did you mean "{close[0]}"?' if close else "."


@cache
def _types(section: str) -> dict[str, type | UnionType]:
    cls = SECTIONS[section]
    hints = get_type_hints(cls)
    return {field.name: hints[field.name] for field in fields(cls)}


def _dotted(content: dict[str, Any], default_section: str | None) -> Iterator[tuple[str, Any]]:
    """Yield dotted names and values; keys outside any table get the default section."""
    for key, value in content.items():
        if isinstance(value, dict) and (value or key in SECTIONS):
            yield from ((f"{key}.{name}", inner) for name, inner in value.items())
        elif default_section and key not in SECTIONS:
            yield f"{default_section}.{key}", value
        else:
            yield key, value


def _put(tables: Tables, name: str, value: Any, convert: Callable[..., Any], source: str) -> None:
    section, _, key = name.partition(".")
    if name not in setting_names():
        raise InputError(f'{source}: unknown setting "{name}"{_nearest_setting(name)}')
    tables.setdefault(section, {})[key] = convert(value, _types(section)[key], name, source)


def _nearest_setting(name: str) -> str:
    """Suggest a full name; "rank" alone and "trian.rank" both lead to "train.rank"."""
    key = name.rpartition(".")[2]
    by_key = [full for full in setting_names() if full.partition(".")[2] == key]
    return nearest(name, by_key if by_key else setting_names())


def _merge(tables: Tables, more: Tables) -> None:
    for name in _replaced(more.get("mosaic", {})):
        tables.get("mosaic", {}).pop(name, None)
    for section, values in more.items():
        tables.setdefault(section, {}).update(values)


def _replaced(given: Mapping[str, Any]) -> Iterator[str]:
    """Mosaic settings of earlier sources that `given` says in another way."""
    said = {name for name, value in given.items() if value not in ("", ())}
    for pair in ALTERNATIVES:
        for way, other in (pair, pair[::-1]):
            if way & said and not other & said:
                yield from other


def _typed(options: Mapping[str, Any], overrides: Sequence[str]) -> Tables:
    """What stands on the command line, as one source: options, then `--set`."""
    tables: Tables = {}
    for name, value in options.items():
        if value is not None:
            _put(tables, name, value, from_toml, source=f"option {name}")
    for override in overrides:
        _put_override(tables, override)
    return tables


def _base_of(given: Tables) -> str:
    """Return the base that a config file names, when it is a preset of ours."""
    name = given.get("base", {}).get("name", DEFAULT_BASE)
    return name if name in preset_names("base") else DEFAULT_BASE


def _folder_facts(folder: Path) -> dict[str, Any]:
    """Read a local model's facts off its config files; weights are not touched."""
    try:
        unet = json.loads((folder / "unet" / "config.json").read_text(encoding="utf-8"))
        vae = json.loads((folder / "vae" / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(
            f"{folder} is not a model in diffusers' layout: {error}. It needs the folders unet, "
            "vae, text_encoder, tokenizer and scheduler, each with its files."
        ) from error
    # AutoencoderTiny has one block more than it has halvings, like AutoencoderKL.
    channels = vae.get("block_out_channels") or vae.get("encoder_block_out_channels") or [0] * 4
    side = unet.get("sample_size") or 64
    return {
        "name": folder.resolve().name,
        "source": str(folder.resolve()),
        "resolution": side * 2 ** (len(channels) - 1),
        "size_gb": sum(_largest(folder / part) for part in ("unet", "vae", "text_encoder")) / 1e9,
    }


def _largest(folder: Path) -> int:
    """Bytes of a part's largest weights file: other files are the same weights again."""
    return max((path.stat().st_size for path in folder.glob("*.safetensors")), default=0)


def _read_file(path: Path) -> dict[str, Any]:
    """Read TOML, or the settings that a mosaic.json holds."""
    try:
        text = path.read_text(encoding="utf-8")
        return json.loads(text)["settings"] if path.suffix == ".json" else tomllib.loads(text)
    except OSError as error:
        raise InputError(f"Cannot read the settings file {path}: {error.strerror}.") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InputError(f"{path} is not valid TOML: {error}.") from error
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(f"{path} holds no settings; give a TOML file or a mosaic.json.") from error


def _literal(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        # JSON's string is TOML's basic string, but for DEL, which only TOML wants escaped.
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    if isinstance(value, tuple):
        return "[" + ", ".join(_literal(item) for item in value) + "]"
    return repr(value)
