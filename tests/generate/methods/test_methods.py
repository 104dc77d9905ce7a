"""Every method end to end on the tiny model: restarts, batches, identity, the command line."""

import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from smalti.cli import gen
from smalti.configs.errors import InputError
from smalti.configs.settings import METHODS, MosaicSettings
from smalti.generate.methods.choice import unused_settings

COMPARED = [method for method in METHODS if method != "smalti"]
SMALL_POOL = {"pool_size": 7, "repeat_distance": 1}


def tiles_of(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted((folder / "tiles").iterdir())}


def pixels_of(folder: Path) -> dict[str, np.ndarray]:
    paths = sorted((folder / "tiles").iterdir())
    return {path.name: np.asarray(Image.open(path)).astype(int) for path in paths}


@pytest.fixture(scope="module")
def made(by_method):
    """The small mosaic by every method; not to be written to."""
    return {method: by_method(method, **SMALL_POOL) for method in METHODS}


def test_no_two_methods_give_the_same_tiles(made):
    tiles = [tiles_of(folder)["r00_c01.png"] for folder in made.values()]
    assert len(set(tiles)) == len(METHODS)


@pytest.mark.parametrize("method", COMPARED)
def test_a_restart_gives_the_same_bytes(by_method, made, tmp_path, method):
    out = by_method(method, tmp_path / "m", **SMALL_POOL)
    (out / "tiles/r00_c01.png").unlink()
    (out / "tiles/r01_c00.png").write_bytes(b"half a file")
    (out / "mosaic.png").unlink()
    by_method(method, out, **SMALL_POOL)
    assert tiles_of(out) == tiles_of(made[method])
    assert (out / "mosaic.png").read_bytes() == (made[method] / "mosaic.png").read_bytes()


@pytest.mark.parametrize("method", COMPARED)
def test_a_tile_does_not_depend_on_its_batch(by_method, made, method):
    """But for rounding, which a classical method may carry into other levels of a histogram."""
    alone = pixels_of(by_method(method, **SMALL_POOL, batch_size=1))
    for name, pixels in pixels_of(made[method]).items():
        difference = abs(pixels - alone[name])
        assert difference.mean() < 0.1 and difference.max() <= 8


@pytest.mark.parametrize("method", COMPARED)
def test_another_method_does_not_mix_into_a_folder(by_method, made, method):
    with pytest.raises(InputError, match=f"method: '{method}', now None"):
        by_method("smalti", made[method], **SMALL_POOL)


def test_settings_of_methods_leave_older_mosaics_alone(by_method, tmp_path):
    """What "smalti" does not use is no part of its identity."""
    out = by_method("smalti", tmp_path / "m", steps=1)
    by_method("smalti", out, steps=1, pool_size=3, repeat_distance=0, blend=0.1, strength=0.1)


@pytest.mark.parametrize(
    ("method", "changes", "same"),
    [
        ("match", {"repeat_distance": 0}, False),
        ("match", {"tone_adjustment": 0.5}, False),
        ("tone", {"pool_size": 8}, False),
        ("tone", {"repeat_distance": 0}, True),
        ("noise-blend", {"blend": 0.1}, False),
        ("img2img", {"strength": 0.1}, False),
        ("quilt", {"blend": 0.1}, True),
        ("match", {"low_pass_cells": 2}, False),
        ("factorized", {"low_pass_cells": 2}, False),
        ("adain", {"low_pass_cells": 2}, True),
        ("adain", {"guide": "exact", "guidance_strength": 0.1, "corrections": 0}, True),
        ("smalti", {"guidance_strength": 0.1}, False),
        ("smalti", {"lora_scale": 0.5}, True),  # no concept is drawn
        ("smalti", {"reference_steps": 9}, True),  # the reference is a photo
        ("smalti", {"reference_cfg_scale": 9.0}, True),
    ],
)
def test_a_folder_belongs_to_the_settings_that_its_method_reads(
    by_method, made, method, changes, same
):
    if same:
        by_method(method, made[method], **SMALL_POOL | changes)
    else:
        (name,) = changes
        with pytest.raises(InputError, match=f"{name}: "):
            by_method(method, made[method], **SMALL_POOL | changes)


def test_what_concepts_and_drawn_references_read_counts_where_they_are():
    photo = MosaicSettings(ref="photo.jpg")
    assert {"lora_scale", "reference_steps", "reference_cfg_scale"} <= unused_settings(photo)
    for change in ({"tile_lora": ("sylvie",)}, {"ref": "", "ref_lora": "sylvie"}):
        assert "lora_scale" not in unused_settings(replace(photo, **change))
    assert "reference_steps" not in unused_settings(replace(photo, ref="", ref_prompt="a cat"))


def test_the_option_reaches_the_plan(photo, tiny_sd, tmp_path):
    words = ["--method", "match", "--ref", str(photo), "--tile-prompt", "a cat", "--grid", "2x2"]
    words += ["--base", str(tiny_sd), "--set", "mosaic.steps=1", "--set", "mosaic.pool_size=7"]
    told = CliRunner().invoke(gen.app, [*words, "--dry-run"])
    assert told.exit_code == 0 and re.search(r"mosaic\.method +match", told.output)
    done = CliRunner().invoke(gen.app, [*words, "--out", str(tmp_path / "m")])
    assert done.exit_code == 0 and (tmp_path / "m/mosaic.png").is_file()
    wrong = CliRunner().invoke(gen.app, [*words[2:], "--method", "magic"])
    assert wrong.exit_code == 2 and "mosaic.method must be one of" in wrong.output


def test_a_folder_of_its_own_for_every_method():
    plain = MosaicSettings(tile_prompt=("a cat",), ref="x/photo.jpg")
    folders = {str(gen.default_out(MosaicSettings(**vars(plain) | {"method": m}))) for m in METHODS}
    assert len(folders) == len(METHODS) and "mosaics/a-cat-photo" in folders


def test_methods_draw_the_concepts_of_the_adapters(by_method, concepts):
    options = {"tile_prompt": (), "concepts": concepts, "steps": 2, "pool_size": 4}
    both = {"tile_lora": ("sylvie", "eileen"), **options}
    out = by_method("tone", **both)
    pool = [json.loads(Image.open(p).info["smalti"]) for p in sorted(out.glob("pool/tiles/*"))]
    assert [facts["concept"] for facts in pool] == ["sylvie", "eileen"] * 2
    shown = json.loads((out / "mosaic.json").read_text())["tiles"].values()
    assert {facts["concept"] for facts in shown} == {"sylvie", "eileen"}
    full, none = (
        by_method("quilt", tile_lora=("sylvie",), lora_scale=scale, **options) for scale in (1, 0)
    )
    assert tiles_of(full) != tiles_of(none)
