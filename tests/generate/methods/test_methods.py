"""Every method by its own settings: checks without torch, restarts, batches, identity, records."""

import json
import shutil
import subprocess
import sys
from collections import Counter
from dataclasses import fields

import pytest
from drawn import change, pixels_of, record_of, tiles_of
from PIL import Image

from smalti.configs.errors import InputError
from smalti.configs.methods import METHODS, PoolSettings
from smalti.configs.mosaic import mosaic_settings
from smalti.generate.methods import method_of
from smalti.generate.plan import plan_mosaic

pytestmark = pytest.mark.slow  # each test draws or trains on the tiny model

COMPARED = [method for method in METHODS if method != "smalti"]
POOLS = {"tone": {"pool_size": 5}, "histogram": {"pool_size": 5}}
POOLS["match"] = {"pool_size": 7, "repeat_distance": 1}


def few(method: str) -> dict[str, int]:
    """Options that keep steps few and a method's pool small, where it has one."""
    return {"steps": 2} | POOLS.get(method, {})


@pytest.fixture(scope="module")
def made(by_method):
    """The small mosaic by every method; not to be written to."""
    return {method: by_method(method, **few(method)) for method in METHODS}


def test_no_two_methods_give_the_same_tiles(made):
    tiles = [tiles_of(folder)["r00_c01.png"] for folder in made.values()]
    assert len(set(tiles)) == len(METHODS)


@pytest.mark.parametrize("method", METHODS)
def test_a_method_takes_its_own_settings_and_no_other(method):
    """A setting that another method has and this one lacks is refused with its own name."""
    own = {entry.name for entry in fields(METHODS[method])}
    known = {entry.name: entry.default for kind in METHODS.values() for entry in fields(kind)}
    for name, value in known.items():
        if name in own:
            assert getattr(mosaic_settings(method=method, **{name: value}).method, name) == value
            continue
        with pytest.raises(InputError) as told:
            mosaic_settings(method=method, **{name: value})
        assert f"mosaic.{name}" in str(told.value) and method in str(told.value)


PLANS = """
import sys
from dataclasses import replace
from pathlib import Path
from smalti.configs.base import BaseSettings
from smalti.configs.mosaic import mosaic_settings
from smalti.configs.methods import METHODS
from smalti.configs.settings import Settings
from smalti.generate.methods import method_of
from smalti.generate.plan import plan_mosaic

base = BaseSettings(color_adapter="x")
for name in METHODS:
    mosaic = mosaic_settings(method=name, tile_prompt=("a cat",), ref_prompt="a dog")
    plan = plan_mosaic(Settings(base=base, mosaic=mosaic), concepts_dir=Path("none"))
    assert plan.seconds > 0 and plan.facts()["method"] == name
print([name for name in ("torch", "diffusers", "transformers", "peft") if name in sys.modules])
"""


def test_checks_and_costs_load_no_torch():
    told = subprocess.run([sys.executable, "-c", PLANS], capture_output=True, text=True)
    assert told.stdout.strip() == "[]", told.stderr


@pytest.mark.parametrize("method", COMPARED)
def test_a_restart_gives_the_same_bytes(by_method, made, tmp_path, method):
    """Half of a batch was lost, a pool that was drawn is there."""
    out = shutil.copytree(made[method], tmp_path / "m")
    (out / "tiles/r00_c01.png").unlink()
    (out / "tiles/r00_c02.png").write_bytes(b"half a file")
    (out / "mosaic.png").unlink()
    by_method(method, out, **few(method))
    assert tiles_of(out) == tiles_of(made[method])
    assert (out / "mosaic.png").read_bytes() == (made[method] / "mosaic.png").read_bytes()


@pytest.mark.parametrize("method", METHODS)
def test_a_tile_does_not_depend_on_its_batch(by_method, made, tmp_path, method):
    """But for rounding, which a classical method may carry into other levels of a histogram."""
    out, name = shutil.copytree(made[method], tmp_path / "m"), "r01_c01.png"
    (out / "tiles" / name).unlink()
    by_method(method, out, **few(method), batch_size=1)
    difference = abs(pixels_of(made[method])[name] - pixels_of(out)[name])
    assert difference.mean() < 0.1 and difference.max() <= 8


@pytest.mark.parametrize("method", COMPARED)
def test_another_method_does_not_mix_into_a_folder(by_method, made, method):
    with pytest.raises(InputError) as told:
        by_method("smalti", made[method], steps=2)
    assert "method" in str(told.value) and method in str(told.value)


@pytest.mark.parametrize(
    ("method", "changes"),
    [
        ("match", {"repeat_distance": 0}),
        ("match", {"tone_adjustment": 0.5}),
        ("match", {"low_pass_cells": 2}),
        ("tone", {"pool_size": 8}),
        ("noise-blend", {"blend": 0.1}),
        ("img2img", {"strength": 0.1}),
        ("factorized", {"low_pass_cells": 2}),
        ("smalti", {"guidance_strength": 0.1}),
        ("adain", {"lora_scale": 0.5}),
    ],
)
def test_a_folder_belongs_to_the_settings_that_its_method_reads(by_method, made, method, changes):
    (name,) = changes
    with pytest.raises(InputError) as told:
        by_method(method, made[method], **few(method) | changes)
    assert name in str(told.value)


@pytest.mark.parametrize("changes", [{"guidance": False}, {"batch_size": 2}])
def test_what_no_tile_depends_on_may_change(by_method, made, changes):
    """An unguided method follows no guide; no method's tiles depend on how they are batched."""
    before = (made["adain"] / "mosaic.png").stat().st_mtime_ns
    by_method("adain", made["adain"], steps=2, **changes)
    assert (made["adain"] / "mosaic.png").stat().st_mtime_ns == before


@pytest.mark.parametrize("method", METHODS)
def test_records_name_the_method_and_what_each_tile_shows(made, method):
    record = record_of(made[method])
    assert record["settings"]["mosaic"]["method"]["name"] == method
    has_pool = issubclass(METHODS[method], PoolSettings)
    for facts in record["tiles"].values():
        assert ("source" in facts) == has_pool
        assert facts["prompt"]


def test_methods_draw_the_concepts_of_the_adapters(by_method, concepts):
    options = {"tile_prompt": (), "concepts": concepts, "steps": 2}
    out = by_method("tone", tile_lora=("sylvie", "eileen"), pool_size=4, **options)
    pool = [json.loads(Image.open(p).info["smalti"]) for p in sorted(out.glob("pool/tiles/*"))]
    assert [facts["concept"] for facts in pool] == ["sylvie", "eileen"] * 2
    shown = Counter(facts["concept"] for facts in record_of(out)["tiles"].values())
    assert shown.keys() == {"sylvie", "eileen"}
    full, none = (
        by_method("quilt", tile_lora=("sylvie",), lora_scale=scale, **options)
        for scale in (1.0, 0.0)
    )
    assert tiles_of(full) != tiles_of(none)


def test_a_method_costs_what_its_pictures_do(small, tmp_path):
    """By hand: two calls a step with CFG, the decoder's three, for each picture that is drawn."""
    plan = plan_mosaic(change(small, method="adain"), concepts_dir=tmp_path)
    each = {"adain": 3 * 2 + 3, "img2img": 2 * 2 + 3, "tone": 3 * 2 + 3}
    count = {"adain": 6, "img2img": 6, "tone": 64}
    for name, calls in each.items():
        settings = change(small, method=name)
        method = method_of(settings.mosaic)
        assert method.calls(settings.mosaic) == calls
        assert method.pictures(settings.mosaic, plan.grid) == count[name]
