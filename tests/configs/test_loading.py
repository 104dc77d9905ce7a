"""How one run's settings come about: sources, their order, and what replaces what."""

import json
import tomllib
from dataclasses import replace
from pathlib import Path

import pytest
from refusals import refused

from smalti.configs import presets
from smalti.configs.loading import resolve
from smalti.configs.mosaic import changed, mosaic_settings, setting_facts
from smalti.configs.presets import preset_names
from smalti.configs.settings import Settings, as_tables
from smalti.configs.tables import checked_tables

PRESETS = Path(presets.__file__).parent / "presets"


def recorded(settings: Settings) -> dict:
    """The settings of an earlier run, as `resolve` takes them."""
    return checked_tables(as_tables(settings), "mosaic.json")


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
    preset = tomllib.loads((PRESETS / "train/edlora-fast.toml").read_text())["train"]["steps"]
    assert steps == [preset, 11, 12, 13, 14]


def test_the_base_overlay_wins_over_presets_and_yields_to_what_they_mean_on_it():
    overlay = tomllib.loads((PRESETS / "base/starter.toml").read_text())["train"]
    meant = tomllib.loads((PRESETS / "train/starter/edlora-fast.toml").read_text())["train"]
    published = tomllib.loads((PRESETS / "train/edlora.toml").read_text())["train"]
    whole = resolve(base="starter", train="edlora").train
    assert whole.learning_rate_unet == overlay["learning_rate_unet"]
    assert whole.learning_rate_unet != published["learning_rate_unet"]
    fast = resolve(base="starter", train="edlora-fast").train
    assert fast.learning_rate_unet == overlay["learning_rate_unet"]
    assert fast.steps == meant["steps"] != overlay["steps"]


def test_concept_toml_takes_plain_keys_and_tables(tmp_path: Path):
    path = tmp_path / "concept.toml"
    path.write_text('class_word = "girl"\n[train]\nrank = 2\n[mosaic]\nlevel = 2\n')
    settings = resolve(concept_toml=path)
    assert settings.train.class_word == "girl"
    assert (settings.train.rank, settings.mosaic.picture.level) == (2, 2)
    assert resolve(concept_toml=tmp_path / "absent.toml") == resolve()


def test_a_config_file_may_name_the_base_and_an_option_wins_over_it(tmp_path: Path):
    path = tmp_path / "run.toml"
    path.write_text('[base]\nname = "sd21"\n[train]\nrank = 6\n')
    assert resolve(config=path).base == resolve(base="sd21").base
    assert resolve(config=path).train.rank == 6
    assert resolve(config=path, base="sd15").base == resolve(base="sd15").base


# --- what is not read -------------------------------------------------------------------------


@pytest.mark.parametrize("given", [
    {"options": {"mosaic.guidance_weight": 3.0}}, {"overrides": ["mosaic.guidance_weight=3"]},
    {"mosaic": "fast", "overrides": ["mosaic.guide.guidance_weight=3"]},
])  # fmt: skip
def test_a_typed_setting_that_the_guide_does_not_read_is_refused(given):
    with refused("mosaic.guidance_weight", "exact", "projection"):
        resolve(**given)


def test_a_typed_setting_that_the_method_does_not_read_is_refused():
    with refused("mosaic.blend", "noise-blend", "adain"):
        resolve(options={"mosaic.method": "adain", "mosaic.blend": 0.3})


def test_one_from_a_preset_or_a_file_is_not(tmp_path: Path):
    """The preset `paper` weighs its guide; with another guide, nobody reads that."""
    assert "guidance_weight" in (PRESETS / "mosaic/paper.toml").read_text()
    mosaic = resolve(base="sd21", mosaic="paper", options={"mosaic.guide": "projection"}).mosaic
    assert mosaic.guide.name == "projection" and mosaic.sampler.steps == 50
    path = tmp_path / "run.toml"
    path.write_text("[mosaic.guide]\nguidance_weight = 3.0\n[mosaic.method]\nblend = 0.3\n")
    assert resolve(config=path) == resolve()
    chosen = resolve(config=path, options={"mosaic.guide": "exact"}).mosaic
    assert chosen.guide.guidance_weight == 3.0


# --- another way to say it --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kept", "given", "found"),
    [
        ({"ref_lora": "a", "ref_prompt": "b"}, {"ref": "p"}, {"ref_lora": (), "ref_prompt": ""}),
        ({"ref": "p.jpg"}, {"ref_prompt": "b"}, {"ref": "", "ref_prompt": "b"}),
        ({"grid": "12x16"}, {"level": 4}, {"grid": "", "level": 4}),
        ({"grid": "12x16"}, {"level": 0}, {"grid": "", "level": 0}),
        ({"level": 4}, {"grid": "2x3"}, {"grid": "2x3"}),
        ({"method": "tone", "pool": "pictures"}, {"tile_lora": ["a"]}, {"pool": ""}),
        ({"tile_prompt": ("a",)}, {"method": "tone", "pool": "p"}, {"tile_prompt": ()}),
        # Not where nothing is given, nor within one source: that is for the command to refuse.
        ({"ref": "p.jpg"}, {"ref_prompt": ""}, {"ref": "p.jpg"}),
        ({}, {"ref": "p.jpg", "ref_prompt": "b"}, {"ref": "p.jpg", "ref_prompt": "b"}),
    ],
    ids=str,
)
def test_another_way_to_say_it_replaces_that_of_an_earlier_source(tmp_path, kept, given, found):
    """A mosaic.json names everything; it still can be the start of a mosaic of another photo."""
    path = tmp_path / "mosaic.json"
    record = Settings(mosaic=mosaic_settings(**kept))
    path.write_text(json.dumps({"format": 2, "settings": as_tables(record)}))
    options = {f"mosaic.{name}": value for name, value in given.items()}
    mosaic = resolve(config=path, options=options).mosaic.flat()
    assert {name: mosaic[name] for name in found} == found


def test_what_a_setting_replaces_is_a_setting():
    facts = setting_facts()
    assert {other for fact in facts.values() for other in fact.replaces} <= facts.keys()


def test_options_and_overrides_are_one_source():
    mosaic = resolve(options={"mosaic.ref": "p.jpg"}, overrides=["mosaic.ref_prompt=x"]).mosaic
    assert (mosaic.picture.ref, mosaic.picture.ref_prompt) == ("p.jpg", "x")


# --- an earlier run ---------------------------------------------------------------------------


def test_settings_of_an_earlier_run_with_others_over_them():
    """What is not given stays, also where a base has defaults of its own."""
    made = Settings(mosaic=mosaic_settings(ref_lora="a", cfg_scale=7.5, steps=9))
    found = resolve(
        recorded=recorded(made), options={"mosaic.ref": "p.jpg"}, overrides=["mosaic.seed=7"]
    )
    assert found == replace(made, mosaic=changed(made.mosaic, ref="p.jpg", ref_lora="", seed=7))


def test_a_base_given_anew_brings_its_facts_and_no_sampler():
    made = Settings(mosaic=mosaic_settings(cfg_scale=7.5, steps=9))
    found = resolve(recorded=recorded(made), base="sd15-lcm")
    assert found == replace(made, base=resolve(base="sd15-lcm").base)


def test_a_preset_given_anew_lies_over_the_earlier_run():
    made = Settings(mosaic=mosaic_settings(seed=5, steps=9, cfg_scale=3.0))
    found = resolve(recorded=recorded(made), mosaic="fine").mosaic
    fine = resolve(base="starter", mosaic="fine").mosaic
    assert found.sampler.steps == fine.sampler.steps
    assert (found.picture.seed, found.sampler.cfg_scale) == (5, 3.0)


@pytest.mark.parametrize("base", preset_names("base"))
@pytest.mark.parametrize("preset", preset_names("mosaic"))
def test_a_preset_given_anew_means_what_it_meant_on_that_base(base, preset):
    """The same command finds its mosaic again."""
    made = resolve(base=base, mosaic=preset)
    assert resolve(recorded=recorded(made), mosaic=preset) == made


def test_a_folder_named_in_a_config_file_does_not_take_the_starters_settings(tmp_path: Path):
    for part, config in {"unet": '{"cross_attention_dim": 1024}', "vae": "{}"}.items():
        (tmp_path / "mine" / part).mkdir(parents=True)
        (tmp_path / "mine" / part / "config.json").write_text(config)
    path = tmp_path / "run.toml"
    path.write_text(f'[base]\nname = "mine"\nsource = "{tmp_path / "mine"}"\n')
    assert resolve(config=path).mosaic == resolve(base="sd21").mosaic
    path.write_text('[base]\nname = "mine"\nsource = "someone/elses"\n')
    assert resolve(config=path).mosaic == resolve(base="starter").mosaic


def test_a_cfg_scale_of_ones_own_is_that_of_concepts_too():
    """The starter's scale for concepts gives way to whoever names a scale, and to the paper's."""

    def scales(**sources) -> tuple[float, float]:
        sampler = resolve(**sources).mosaic.sampler
        return sampler.scale_of(concept=False), sampler.scale_of(concept=True)

    plain, own = scales(base="starter")
    assert plain != own
    assert scales(base="starter", options={"mosaic.cfg_scale": 6.0}) == (6.0, 6.0)
    assert scales(base="starter", mosaic="paper") == (7.5, 7.5)
    both = ["mosaic.cfg_scale=6", "mosaic.concept_cfg_scale=2"]
    assert scales(base="starter", overrides=both) == (6.0, 2.0)
    assert scales(base="sd21")[0] == scales(base="sd21")[1]


def test_patience_that_counts_nothing_is_refused():
    with refused("patience", "--judge-every"):
        resolve(options={"train.patience": 3})
    assert resolve(options={"train.patience": 3, "train.judge_every": 50}).train.patience == 3
