"""Mosaics of pool pictures: folders, drawn pools, records, tiles drawn anew, errors."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from smalti.configs.errors import InputError
from smalti.configs.settings import CLASSICAL, MosaicSettings
from smalti.generate import mosaic as mosaic_module
from smalti.generate import studio
from smalti.generate.methods.pool import pool_subjects
from smalti.generate.mosaic import plan_mosaic
from smalti.generate.palette import COLORS

SINGLE = {"tile_prompt": (), "repeat_distance": 1}


def record_of(folder: Path) -> dict:
    return json.loads((folder / "mosaic.json").read_text())


def pixels(path: Path) -> np.ndarray:
    return np.asarray(Image.open(path)).astype(float) / 255


@pytest.mark.parametrize("method", CLASSICAL)
def test_a_folder_is_placed_and_changes_are_counted(by_method, pool, method):
    out = by_method(method, pool=str(pool), **SINGLE)
    record = record_of(out)
    for name, facts in record["tiles"].items():
        picture = Image.open(pool / facts["source"])
        side = min(picture.size)
        left, top = (picture.width - side) // 2, (picture.height - side) // 2
        square = picture.crop((left, top, left + side, top + side))
        plain = np.asarray(square.resize((64, 64), Image.Resampling.BICUBIC)) / 255
        change = np.mean((pixels(out / f"tiles/{name}.png") - plain) ** 2)
        assert facts["correction_energy"] == pytest.approx(change, abs=2e-3)
        assert (facts["correction_energy"] == 0) == (method == "match")
        assert (facts["concept"], facts["prompt"]) == ("", "")
    energies = [facts["correction_energy"] for facts in record["tiles"].values()]
    assert record["metrics"]["correction_energy"] == pytest.approx(np.mean(energies), abs=1e-6)


def test_tone_adjustment_and_tint_are_counted_together(by_method, pool):
    options = {"pool": str(pool), **SINGLE}
    plain = by_method("match", **options)
    both = by_method("match", **options, tone_adjustment=0.5, tint=0.1)
    for name, facts in record_of(both)["tiles"].items():
        change = pixels(both / f"tiles/{name}.png") - pixels(plain / f"tiles/{name}.png")
        assert facts["correction_energy"] == pytest.approx(np.mean(change**2), rel=0.02, abs=1e-5)


def test_a_drawn_pool_lies_beside_the_tiles_and_is_drawn_once(by_method, tmp_path, monkeypatch):
    out = by_method("match", tmp_path / "m", pool_size=13)
    drawn = sorted((out / "pool/tiles").iterdir())
    assert len(drawn) == 13
    for name, facts in record_of(out)["tiles"].items():
        source = out / "pool/tiles" / facts["source"]
        assert np.array_equal(pixels(out / f"tiles/{name}.png"), pixels(source))
        prompt = json.loads(Image.open(source).info["smalti"])["prompt"]
        assert facts["prompt"] == prompt
    before = {path: path.read_bytes() for path in out.rglob("*.png")}
    (out / "tiles/r00_c01.png").unlink()
    (out / "mosaic.png").unlink()
    monkeypatch.setattr(studio, "sample", lambda *_, **__: pytest.fail("nothing is to be drawn"))
    by_method("match", out, pool_size=13)
    assert {path: path.read_bytes() for path in out.rglob("*.png")} == before


def test_a_pool_killed_half_way_goes_on_to_the_same_bytes(by_method, tmp_path, killed):
    whole = by_method("histogram", pool_size=5)
    killed()
    with pytest.raises(KeyboardInterrupt):
        by_method("histogram", tmp_path / "m", pool_size=5)
    assert len(list((tmp_path / "m/pool/tiles").iterdir())) == 3
    by_method("histogram", tmp_path / "m", pool_size=5)
    for path in whole.rglob("*.png"):
        assert (tmp_path / "m" / path.relative_to(whole)).read_bytes() == path.read_bytes()


def test_a_drawn_pool_runs_through_concepts_prompts_and_colors():
    mosaic = MosaicSettings(
        tile_lora=("sylvie", "mug"), tile_prompt=("an <color> x", "y"), pool_size=66
    )
    subjects = pool_subjects(mosaic)
    assert len(subjects) == 66
    assert [s.concept for s in subjects[:4]] == ["sylvie", "mug"] * 2
    assert [s.prompt for s in subjects[:5]] == ["a red x", "a red x", "y", "y", "an orange x"]
    assert len({s.prompt for s in subjects}) == len(COLORS) + 1
    assert subjects[64:] == subjects[:2]


@pytest.mark.parametrize("method", CLASSICAL)
def test_a_tile_drawn_anew_changes_its_picture_alone(by_method, pool, tmp_path, method):
    out = by_method(method, tmp_path / "m", pool=str(pool), **SINGLE)
    old = record_of(out)["tiles"]
    before = {path.name: path.read_bytes() for path in (out / "tiles").iterdir()}
    by_method(method, out, retile=[(0, 1), (1, 1)], seed=7, pool=str(pool), **SINGLE)
    new = record_of(out)["tiles"]
    after = {path.name: path.read_bytes() for path in (out / "tiles").iterdir()}
    changed = {name for name in before if before[name] != after[name]}
    assert changed == {"r00_c01.png", "r01_c01.png"}
    for name in ("r00_c01", "r01_c01"):
        assert new[name]["source"] != old[name]["source"] and new[name]["seed"] == 7
    if method == "match":  # 2 x 3 tiles: all within 1 of the middle ones
        assert len({new[f"r{r:02d}_c{c:02d}"]["source"] for r in (0, 1) for c in (0, 1)}) == 4
        assert len({new[f"r{r:02d}_c{c:02d}"]["source"] for r in (0, 1) for c in (1, 2)}) == 4
    # Once more: the same picture.
    by_method(method, out, retile=[(0, 1), (1, 1)], seed=7, pool=str(pool), **SINGLE)
    assert record_of(out)["tiles"] == new


def test_no_tile_drawn_anew_repeats_a_neighbour(by_method, pool, tmp_path):
    """Also not with the mosaic's own seed, after the neighbour took what the tile had at first."""
    options = {"pool": str(pool), **SINGLE}
    out = by_method("match", tmp_path / "m", **options)
    first = record_of(out)["tiles"]
    for tile, seed in (((0, 0), 7), ((0, 1), 8), ((1, 0), 9), ((0, 0), 0), ((0, 1), 0)):
        by_method("match", out, retile=[tile], seed=seed, **options)
        shown = {name: facts["source"] for name, facts in record_of(out)["tiles"].items()}
        for columns in ((0, 1), (1, 2)):  # 2 x 3 tiles
            near = [shown[f"r{row:02d}_c{col:02d}"] for row in (0, 1) for col in columns]
            assert len(set(near)) == 4
    by_method("match", out, retile=[(1, 0)], **options)
    assert record_of(out)["tiles"]["r01_c00"]["source"] == first["r01_c00"]["source"]


def test_a_mosaic_of_own_pictures_says_so(by_method, pool):
    out = by_method("match", pool=str(pool), **SINGLE)
    with Image.open(out / "mosaic.png") as image:
        image.load()
        assert image.info["XML:com.adobe.xmp"].count('digitalsourcetype/composite"') == 1
        parameters = image.info["parameters"]
    assert "Mosaic method: match" in parameters
    assert "Steps" not in parameters and "Model" not in parameters


def test_another_pool_is_another_mosaic(by_method, pool, tmp_path):
    mine = tmp_path / "pictures"
    shutil.copytree(pool, mine)
    out = by_method("match", tmp_path / "m", pool=str(mine), **SINGLE)
    elsewhere = shutil.move(mine, tmp_path / "elsewhere")
    by_method("match", out, pool=str(elsewhere), **SINGLE)  # the same pictures in another place
    Image.new("RGB", (64, 64)).save(elsewhere / "00.png")
    with pytest.raises(InputError, match="pool: "):
        by_method("match", out, pool=str(elsewhere), **SINGLE)


def test_plans_know_the_pool(small, pool, photo):
    def plan(**changes):
        options = {"ref": str(photo), "ref_prompt": "", **changes}
        settings = replace(small, mosaic=replace(small.mosaic, **options))
        return plan_mosaic(settings, concepts_dir=Path("none"))

    folder = plan(method="match", pool=str(pool), **SINGLE)
    assert folder.facts()["tiles"] == f"20 pictures of {pool}"
    assert folder.facts()["method"] == "match"
    assert folder.seconds == 0
    six = plan(guidance=False).seconds
    assert plan(method="tone", pool_size=12).seconds == pytest.approx(2 * six)


def test_a_bad_picture_is_named_before_anything_is_loaded(by_method, pool, tmp_path, monkeypatch):
    mine = tmp_path / "pictures"
    shutil.copytree(pool, mine)
    Image.new("RGB", (20, 50)).save(mine / "zz.png")
    monkeypatch.setattr(mosaic_module, "open_studio", lambda *_: pytest.fail("loaded"))
    with pytest.raises(InputError, match=r"pool picture .*zz\.png is only 20x50 px"):
        by_method("match", pool=str(mine), **SINGLE)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"method": "match", "pool": "none"}, "is no folder"),
        ({"method": "match", "pool": "EMPTY"}, "holds no pictures"),
        ({"method": "tone", "pool": "BROKEN"}, "pool picture .*x.png is not an image"),
        ({"method": "match", "pool": "POOL", "repeat_distance": 20, "grid": "5x5"}, "it takes 25"),
        ({"method": "match", "pool_size": 2, "tile_prompt": ("a cat",)}, "with mosaic.pool_size"),
        ({"method": "match", "pool": "POOL", "tile_prompt": ("a cat",)}, "leave out --tile-lora"),
        ({"method": "match", "pool": "POOL", "ref": ""}, "Nothing to show from afar"),
        ({"method": "smalti", "pool": "POOL"}, "--method match, tone, histogram"),
        ({"method": "tone", "pool": "POOL", "tone_adjustment": 0.5}, "for --method match"),
    ],
    ids=str,
)
def test_errors(by_method, pool, tmp_path, options, message):
    (tmp_path / "empty").mkdir()
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken/x.png").write_text("no picture")
    places = {"POOL": pool, "EMPTY": tmp_path / "empty", "BROKEN": tmp_path / "broken"}
    if "pool" in options:
        options = {**options, "pool": str(places.get(options["pool"], options["pool"]))}
    with pytest.raises(InputError, match=message):
        by_method(**{"tile_prompt": (), **options})


@pytest.mark.parametrize(
    ("name", "value"),
    [("method", "matsh"), ("pool_size", 0), ("repeat_distance", -1), ("tone_adjustment", 1.5)],
)
def test_values_are_checked(name, value):
    with pytest.raises(InputError, match=f"mosaic.{name} must"):
        MosaicSettings(**{name: value})
