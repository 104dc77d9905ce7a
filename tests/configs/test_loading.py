"""Presets, overlays, overrides and their precedence."""

import json
import tomllib
from dataclasses import asdict, fields, replace
from pathlib import Path

import pytest

from smalti.configs import loading
from smalti.configs.errors import InputError
from smalti.configs.loading import (
    PRESET_KINDS,
    SECTIONS,
    overlaid,
    preset_names,
    resolve,
    save_settings,
)
from smalti.configs.settings import MosaicSettings, Settings, TrainSettings

PRESETS = Path(loading.__file__).parent
FILES = [path for kind in PRESET_KINDS for path in sorted((PRESETS / kind).glob("*.toml"))]


def test_the_presets_of_the_readme_are_there():
    assert preset_names("base") == ["sd-turbo", "sd15", "sd15-lcm", "sd21", "starter"]
    assert preset_names("train") == ["edlora", "edlora-fast", "lora"]
    assert preset_names("mosaic") == ["draft", "fast", "fine", "paper"]


@pytest.mark.parametrize("path", FILES, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_every_preset_loads_and_every_key_arrives(path: Path):
    settings = resolve(**{"base": "sd15", path.parent.name: path.stem})
    for section, values in tomllib.loads(path.read_text()).items():
        for key, value in values.items():
            assert getattr(getattr(settings, section), key) == value


@pytest.mark.parametrize("path", FILES, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_every_key_of_a_preset_has_a_comment(path: Path):
    commented = False
    for line in path.read_text().splitlines():
        if line.startswith("#"):
            commented = True
        elif "=" in line:
            assert commented, f"{path.name}: no comment above {line!r}"
        elif line.startswith("[") or not line:
            commented = False


def test_base_presets_name_a_source_that_is_no_gated_or_withdrawn_repository():
    withdrawn = ("runwayml/", "stabilityai/stable-diffusion-2")
    for name in preset_names("base"):
        base = resolve(base=name).base
        assert base.name == name
        assert not base.source.startswith(withdrawn)
        assert base.license and base.size_gb > 0


def test_published_rates_for_models_of_sd_width():
    for name in ("sd15", "sd21", "sd-turbo", "sd15-lcm"):
        train = resolve(base=name).train
        rates = (
            train.learning_rate_embedding,
            train.learning_rate_text_encoder,
            train.learning_rate_unet,
        )
        assert rates == (1e-3, 1e-5, 1e-4)


def test_the_defaults_are_the_presets_edlora_and_fast():
    assert resolve(base="sd15", train="edlora") == resolve(base="sd15")
    assert resolve(base="sd21", mosaic="fast").mosaic == MosaicSettings()
    starter = resolve(mosaic="fast").mosaic  # which brings guidance scales of its own
    assert starter == replace(MosaicSettings(), cfg_scale=5.0, reference_cfg_scale=3.0)
    assert resolve(base="sd15").train == TrainSettings()


def test_few_step_bases_bring_their_own_sampler():
    mosaic = resolve(base="sd15-lcm", mosaic="paper").mosaic
    assert (mosaic.steps, mosaic.scheduler, mosaic.cfg_scale) == (8, "lcm", 1.0)


def test_each_source_wins_over_the_one_before(tmp_path: Path):
    concept, config = tmp_path / "concept.toml", tmp_path / "run.toml"
    steps = [resolve(base="sd15", train="edlora-fast").train.steps]
    concept.write_text("steps = 11\n")
    sources = {"base": "sd15", "train": "edlora-fast", "concept_toml": concept}
    steps.append(resolve(**sources).train.steps)
    config.write_text("[train]\nsteps = 12\n")
    steps.append(resolve(**sources, config=config).train.steps)
    sources |= {"config": config, "options": {"train.steps": 13, "train.rank": None}}
    steps.append(resolve(**sources).train.steps)
    steps.append(resolve(**sources, overrides=["train.steps=14"]).train.steps)
    assert steps == [400, 11, 12, 13, 14]


def test_the_base_overlay_wins_over_the_training_preset():
    written = tomllib.loads((PRESETS / "base" / "starter.toml").read_text(encoding="utf-8"))
    rate = written["train"]["learning_rate_unet"]
    assert rate != resolve(base="sd15", train="edlora").train.learning_rate_unet
    assert resolve(base="starter", train="edlora").train.learning_rate_unet == rate


@pytest.mark.parametrize("base", preset_names("base"))
def test_edlora_fast_takes_half_the_steps_on_every_base(base: str):
    whole, fast = (resolve(base=base, train=name).train for name in ("edlora", "edlora-fast"))
    assert fast.steps == whole.steps / 2 and fast.validate_every == 0
    assert fast.learning_rate_unet == whole.learning_rate_unet


def test_concept_toml_takes_plain_keys_and_tables(tmp_path: Path):
    path = tmp_path / "concept.toml"
    path.write_text('class_word = "girl"\n[train]\nrank = 2\n[mosaic]\nlevel = 2\n')
    settings = resolve(concept_toml=path)
    assert settings.train.class_word == "girl"
    assert (settings.train.rank, settings.mosaic.level) == (2, 2)
    assert resolve(concept_toml=tmp_path / "absent.toml") == resolve()


@pytest.mark.parametrize(
    ("override", "section", "key", "value"),
    [
        ("train.rank=8", "train", "rank", 8),
        ("train.learning_rate_unet=2e-4", "train", "learning_rate_unet", 2e-4),
        ("mosaic.cfg_scale=3", "mosaic", "cfg_scale", 3.0),
        ("mosaic.color=off", "mosaic", "color", False),
        ("train.flip=True", "train", "flip", True),
        ("mosaic.ref_prompt=a = b, [c]", "mosaic", "ref_prompt", "a = b, [c]"),
        ("mosaic.tile_prompt=a cat, red", "mosaic", "tile_prompt", ("a cat, red",)),
        ('mosaic.tile_lora=["a", "b"]', "mosaic", "tile_lora", ("a", "b")),
    ],
)
def test_overrides_are_read_as_the_declared_type(override, section, key, value):
    found = getattr(getattr(resolve(overrides=[override]), section), key)
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize(
    ("override", "words"),
    [
        ("train.rnak=8", ["train.rnak", '"train.rank"']),
        ("rank=8", ['"rank"', '"train.rank"']),
        ("trian.rank=8", ['"train.rank"']),
        ("train.rank=four", ["train.rank", "whole number", "four"]),
        ("train.rank=1.5", ["whole number"]),
        ("train.flip=maybe", ["true or false"]),
        ("mosaic.tile_lora=[a", ["list of texts"]),
        ("train.rank", ["SECTION.KEY=VALUE"]),
        ("train.rank=0", ["train.rank", "at least 1"]),
        ("train.method=dora", ["train.method", "edlora, lora", "dora"]),
        ("mosaic.level=9", ["mosaic.level", "9"]),
    ],
)
def test_bad_overrides_are_refused_by_name(override: str, words: list[str]):
    with pytest.raises(InputError) as caught:
        resolve(overrides=[override])
    for word in words:
        assert word in str(caught.value)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[train]\nrnak = 8\n", ["train.rnak", "train.rank"]),
        ("rank = 8\n", ['"rank"', "train.rank"]),
        ("[trian]\nrank = 8\n", ["trian.rank"]),
        ("[train]\nrank = '8'\n", ["train.rank", "whole number"]),
        ("[train]\nrank = true\n", ["train.rank", "whole number"]),
        ("[train\n", ["not valid TOML", "line 1"]),
        ("train = 3\n", ['"train"']),
    ],
)
def test_bad_settings_files_are_refused_naming_file_and_key(tmp_path: Path, text, words):
    path = tmp_path / "run.toml"
    path.write_text(text)
    with pytest.raises(InputError) as caught:
        resolve(config=path)
    for word in [str(path), *words]:
        assert word in str(caught.value)


def test_a_missing_settings_file_and_an_unknown_preset_are_named(tmp_path: Path):
    with pytest.raises(InputError, match=r"nowhere\.toml"):
        resolve(config=tmp_path / "nowhere.toml")
    with pytest.raises(InputError, match='did you mean "edlora-fast".*edlora, edlora-fast, lora'):
        resolve(train="edlora-fats")
    with pytest.raises(InputError, match='"sd-21".*did you mean "sd21".*starter'):
        resolve(base="sd-21")


def test_saved_settings_give_the_same_run(tmp_path: Path):
    awkward = 'say "hi" \\ [x] # \t\n é \x7f \x01'
    options = {
        "mosaic.ref_prompt": awkward,
        "mosaic.tile_prompt": (awkward, "b"),
        "train.learning_rate_unet": 1e-7,
        "mosaic.color": False,
    }
    settings = resolve(base="sd21", train="lora", mosaic="fast", options=options)
    path = tmp_path / "settings.toml"
    save_settings(settings, path)
    assert resolve(config=path) == settings
    assert [p.name for p in tmp_path.iterdir()] == ["settings.toml"]


def test_a_mosaics_record_gives_the_same_run(tmp_path: Path):
    options = {"mosaic.tile_prompt": ["a", "b"], "mosaic.seed": 3}
    settings = resolve(base="sd15", options=options)
    path = tmp_path / "mosaic.json"
    path.write_text(json.dumps({"state": "finished", "settings": asdict(settings)}))
    assert resolve(config=path) == settings
    for text in ("{}", "[]", "{"):
        path.write_text(text)
        with pytest.raises(InputError, match=r"mosaic\.json holds no settings"):
            resolve(config=path)


@pytest.mark.parametrize(
    ("kept", "given", "found"),
    [
        ({"ref_lora": "a", "ref_prompt": "b"}, {"ref": "p"}, {"ref_lora": "", "ref_prompt": ""}),
        ({"ref": "p.jpg"}, {"ref_prompt": "b"}, {"ref": "", "ref_prompt": "b"}),
        ({"grid": "12x16"}, {"level": 4}, {"grid": "", "level": 4}),
        ({"grid": "12x16"}, {"level": 0}, {"grid": "", "level": 0}),
        ({"pool": "pictures"}, {"tile_lora": ["a"]}, {"pool": "", "tile_lora": ("a",)}),
        # Not where nothing is given, nor within one source: that is for the command to refuse.
        ({"ref": "p.jpg"}, {"ref_prompt": ""}, {"ref": "p.jpg"}),
        ({}, {"ref": "p.jpg", "ref_prompt": "b"}, {"ref": "p.jpg", "ref_prompt": "b"}),
    ],
    ids=str,
)
def test_another_way_to_say_it_replaces_that_of_an_earlier_source(tmp_path, kept, given, found):
    """A mosaic.json names everything; it still can be the start of a mosaic of another photo."""
    path = tmp_path / "mosaic.json"
    record = Settings(mosaic=MosaicSettings(**kept))
    path.write_text(json.dumps({"settings": asdict(record)}))
    options = {f"mosaic.{name}": value for name, value in given.items()}
    mosaic = resolve(config=path, options=options).mosaic
    assert {name: getattr(mosaic, name) for name in found} == found


def test_settings_of_an_earlier_run_with_others_over_them():
    """What is not given stays, also where a base has defaults of its own."""
    made = Settings(mosaic=MosaicSettings(ref_lora="a", cfg_scale=7.5, steps=9))
    found = overlaid(made, options={"mosaic.ref": "p.jpg"}, overrides=["mosaic.seed=7"])
    expected = replace(made.mosaic, ref="p.jpg", ref_lora="", seed=7)
    assert found == replace(made, mosaic=expected)
    assert overlaid(made, base="sd15") == replace(made, base=resolve(base="sd15").base)


def test_options_and_overrides_are_one_source():
    mosaic = resolve(options={"mosaic.ref": "p.jpg"}, overrides=["mosaic.ref_prompt=x"]).mosaic
    assert (mosaic.ref, mosaic.ref_prompt) == ("p.jpg", "x")


def test_a_config_file_may_name_the_base_and_an_option_wins_over_it(tmp_path: Path):
    path = tmp_path / "run.toml"
    path.write_text('[base]\nname = "sd21"\n[train]\nrank = 6\n')
    assert resolve(config=path).base == resolve(base="sd21").base
    assert resolve(config=path).train.rank == 6
    assert resolve(config=path, base="sd15").base == resolve(base="sd15").base


def test_a_local_folder_stands_for_a_base_preset(tmp_path: Path):
    folder = tmp_path / "my-model"
    for part, config in {
        "unet": {"sample_size": 96},
        "vae": {"block_out_channels": [1, 2, 3, 4]},
    }.items():
        (folder / part).mkdir(parents=True)
        (folder / part / "config.json").write_text(json.dumps(config))
    (folder / "unet/one.fp16.safetensors").write_bytes(bytes(2000))
    (folder / "unet/one.safetensors").write_bytes(bytes(4000))
    (folder / "vae/one.safetensors").write_bytes(bytes(500))
    base = resolve(base=str(folder)).base
    assert (base.name, base.source, base.resolution) == ("my-model", str(folder), 768)
    assert base.size_gb == pytest.approx(4.5e-6), "weights once, though they are there twice"
    settings = resolve(base=str(folder))
    save_settings(settings, tmp_path / "s.toml")
    assert resolve(config=tmp_path / "s.toml").base == base
    with pytest.raises(InputError, match="diffusers' layout"):
        resolve(base=str(tmp_path))


def test_every_setting_has_a_doc_and_a_type_that_overrides_can_set():
    from smalti.configs.describe import field_docs

    readable = (str, int, float, bool, tuple[str, ...])
    for section, cls in SECTIONS.items():
        docs = field_docs(section)
        assert list(docs) == [field.name for field in fields(cls)]
        assert all(doc.endswith(".") for doc in docs.values())
        assert all(kind in readable for kind in loading._types(section).values())
    assert [field.name for field in fields(Settings)] == list(SECTIONS)
