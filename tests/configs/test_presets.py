"""The shipped presets, on every base; local folders as bases."""

import json
import tomllib
from pathlib import Path

import pytest
from refusals import refused

from smalti.configs import presets
from smalti.configs.loading import resolve
from smalti.configs.presets import KINDS, load_preset, preset_names
from smalti.configs.settings import Settings, as_tables
from smalti.configs.tables import save_settings, settings_toml

FOLDER = Path(presets.__file__).parent / "presets"
FILES = sorted(FOLDER.rglob("*.toml"))
XL = ("sdxl", "ssd-1b", "segmind-vega")
CHOICES = [
    (base, {kind: name})
    for base in preset_names("base") for kind in ("train", "mosaic") for name in preset_names(kind)
]  # fmt: skip


def test_every_file_is_a_preset_of_its_kind():
    """Those of a base are what presets mean on it, and have their names."""
    listed = [FOLDER / kind / f"{name}.toml" for kind in KINDS for name in preset_names(kind)]
    meant = [
        FOLDER / kind / base / f"{name}.toml"
        for kind in ("train", "mosaic") for base in preset_names("base")
        for name in preset_names(f"{kind}/{base}")
    ]  # fmt: skip
    assert sorted([*listed, *meant]) == FILES
    assert {path.stem for path in meant} <= {n for k in KINDS for n in preset_names(k)}


@pytest.mark.parametrize(("base", "chosen"), CHOICES, ids=str)
def test_every_preset_loads_on_every_base_and_says_the_same_when_saved(base, chosen, tmp_path):
    settings = resolve(base=base, **chosen)
    assert settings.base.name == base
    save_settings(settings, tmp_path / "run.toml")
    assert resolve(config=tmp_path / "run.toml") == settings


@pytest.mark.parametrize("kind", ["train", "mosaic"])
def test_every_key_of_a_preset_arrives(kind, tmp_path):
    """Read by TOML's own reader, on a base that has nothing to say to them."""
    folder = make_folder(tmp_path / "plain", {})
    for name in preset_names(kind):
        settings = resolve(base=str(folder), **{kind: name})
        assert missed(FOLDER / kind / f"{name}.toml", settings) == {}


@pytest.mark.parametrize("base", preset_names("base"))
@pytest.mark.parametrize(("kind", "name"), [("mosaic", "paper")])
def test_a_preset_that_is_a_method_of_its_own_arrives_whole_on_every_base(base, kind, name):
    path = FOLDER / kind / f"{name}.toml"
    assert missed(path, resolve(base=base, **{kind: name})) == {}
    assert not (FOLDER / kind / base / f"{name}.toml").exists(), "it means the same everywhere"


def test_the_papers_numbers():
    """Section 4.2: 50 steps, guidance scale 7.5, w = 5000; 3.3: gamma = 0.95; all images alike."""
    for base in preset_names("base"):
        mosaic = resolve(base=base, mosaic="paper").mosaic.flat()
        drawn = (mosaic["steps"], mosaic["cfg_scale"], mosaic["cfg_start"], mosaic["cfg_end"])
        assert drawn == (50, 7.5, 0, 1)
        assert (mosaic["reference_steps"], mosaic["reference_cfg_scale"]) == (50, 7.5)
        assert (mosaic["guidance_weight"], mosaic["guidance_decay"]) == (5000, 0.95)
        assert (mosaic["guidance_start"], mosaic["guidance_end"]) == (0, 1)
        assert mosaic["color"] and mosaic["guide"] == "exact" and mosaic["level"] == 3


def missed(path: Path, settings) -> dict:
    """What a preset's file says and settings do not, by dotted name."""
    found, said = as_tables(settings), tomllib.loads(path.read_text(encoding="utf-8"))
    for section in ("train", *(f"mosaic.{group}" for group in found["mosaic"])):
        outer, _, inner = section.partition(".")
        own = (said.get(outer, {}).get(inner, {}), found[outer][inner]) if inner else (
            said.get(outer, {}), found[outer])  # fmt: skip
        if wrong := {key: own[1][key] for key, value in own[0].items() if own[1][key] != value}:
            return {section: wrong}
    return {}


@pytest.mark.parametrize("base", ["sd15", "sd21", *XL])
def test_stable_diffusion_has_a_sampler_of_its_own(base):
    """What it takes by default it takes for `fast`; a proof takes fewer steps, `fine` more."""
    taken = {name: resolve(base=base, mosaic=name).mosaic.sampler for name in ("draft", "fine")}
    own = tomllib.loads((FOLDER / f"base/{base}.toml").read_text())["mosaic"]["sampler"]
    sampler = resolve(base=base).mosaic.sampler
    assert {name: getattr(sampler, name) for name in own} == own and own["steps"] == 20
    assert taken["draft"].steps < sampler.steps < taken["fine"].steps
    assert {one.cfg_scale for one in (sampler, *taken.values())} == {own["cfg_scale"]}


@pytest.mark.parametrize("base", ["sd15", "sd21", "sd-turbo", "sd15-lcm", *XL])
def test_a_concept_of_fifteen_photos_takes_about_what_the_original_takes(base):
    """Mix-of-Show: each image 500 times, 4 at a step."""
    train = resolve(base=base).train
    step = train.batch_size * train.gradient_accumulation
    assert train.steps * step == pytest.approx(15 * 500, rel=0.15)


@pytest.mark.parametrize("base", preset_names("base"))
def test_a_base_says_where_it_is_and_under_which_licence(base):
    settings = resolve(base=base).base
    assert settings.name == base
    assert settings.license and settings.size_gb > 0
    withdrawn = ("runwayml/", "stabilityai/stable-diffusion-2")
    assert not settings.source.startswith(withdrawn)


@pytest.mark.parametrize("base", preset_names("base"))
def test_edlora_fast_takes_half_the_steps_on_every_base(base):
    whole, fast = (resolve(base=base, train=name).train for name in ("edlora", "edlora-fast"))
    assert fast.steps == whole.steps / 2 and fast.validate_every is None
    assert fast.learning_rate_unet == whole.learning_rate_unet


def test_the_defaults_are_the_presets_edlora_and_fast():
    assert resolve(base="sd15", train="edlora") == resolve(base="sd15")
    assert resolve(base="sd21", mosaic="fast") == resolve(base="sd21")


@pytest.mark.parametrize("base", ["sd-turbo", "sd15-lcm"])
@pytest.mark.parametrize("mosaic", ["draft", "fast", "fine"])
def test_a_few_step_base_brings_its_own_sampler(base, mosaic):
    """However many steps a preset takes."""
    sampler = resolve(base=base, mosaic=mosaic).mosaic.sampler
    assert sampler.steps <= 4
    assert sampler.cfg_scale == {"sd-turbo": 1.0, "sd15-lcm": 8.0}[base], "as their cards say"


@pytest.mark.parametrize(("kind", "name", "near"), [
    ("train", "edlora-fats", "edlora-fast"), ("mosaic", "drafft", "draft"),
    ("base", "sd-21", "sd21"),
])  # fmt: skip
def test_an_unknown_preset_is_refused_with_the_nearest_and_all(kind, name, near):
    with refused(f'"{name}"', f'"{near}"', *preset_names(kind)):
        resolve(**{kind: name})
    with refused(f'"{name}"', f'"{near}"', *preset_names(kind)):
        load_preset(kind, name)


# --- a folder of the user's -------------------------------------------------------------------


def make_folder(folder: Path, vae: dict, **unet: object) -> Path:
    for part, config in {"unet": {"sample_size": 96, **unet}, "vae": vae}.items():
        (folder / part).mkdir(parents=True)
        (folder / part / "config.json").write_text(json.dumps(config))
    return folder


@pytest.mark.parametrize("vae", [
    {"block_out_channels": [1, 2, 3, 4]}, {"encoder_block_out_channels": [8, 8, 8, 8]},
])  # fmt: skip
def test_a_local_folder_stands_for_a_base_preset(tmp_path, vae):
    folder = make_folder(tmp_path / "my-model", vae)
    (folder / "unet/one.fp16.safetensors").write_bytes(bytes(2000))
    (folder / "unet/one.safetensors").write_bytes(bytes(4000))
    (folder / "vae/one.safetensors").write_bytes(bytes(500))
    settings = resolve(base=str(folder))
    base = settings.base
    assert (base.name, base.source, base.resolution) == ("my-model", str(folder), 768)
    assert base.size_gb == pytest.approx(4.5e-6), "weights once, though they are there twice"
    (tmp_path / "run.toml").write_text(settings_toml(settings))
    assert resolve(config=tmp_path / "run.toml").base == base


@pytest.mark.parametrize(("width", "kin"), [(768, "sd15"), (1024, "sd21"), (2048, "sdxl")])
@pytest.mark.parametrize("mosaic", [None, "draft", "fine", "paper"])
def test_a_folder_takes_the_settings_of_its_kin(tmp_path, width, kin, mosaic):
    """Not the starter's: a fine-tuned Stable Diffusion draws and trains as its preset does."""
    folder = make_folder(tmp_path / "tuned", {}, cross_attention_dim=width)
    found, wanted = (resolve(base=base, mosaic=mosaic) for base in (str(folder), kin))
    assert (found.mosaic, found.train) == (wanted.mosaic, wanted.train)
    assert (found.base.name, found.base.source) == ("tuned", str(folder))


@pytest.mark.parametrize("width", [32, 1280, [768, 768], None])
def test_a_folder_of_another_kind_has_no_kin(tmp_path, width):
    folder = make_folder(tmp_path / "other", {}, cross_attention_dim=width)
    assert resolve(base=str(folder)).mosaic == Settings().mosaic


def test_a_folder_that_holds_no_model_is_refused(tmp_path):
    with refused(str(tmp_path), "unet"):
        resolve(base=str(tmp_path))
    with refused("nowhere", *preset_names("base")):
        resolve(base="nowhere/at-all")
