"""Mosaics of pool pictures: folders, drawn pools, records, tiles drawn anew, errors."""

import json
import shutil
from unittest.mock import create_autospec

import numpy as np
import pytest
from drawn import change, record_of, tiles_of
from PIL import Image

from smalti.configs.errors import InputError
from smalti.configs.methods import METHODS, PoolSettings
from smalti.configs.mosaic import mosaic_settings
from smalti.generate import denoised
from smalti.generate.methods.pool import pool_subjects
from smalti.generate.palette import COLORS
from smalti.generate.plan import plan_mosaic

POOLED = [name for name, kind in METHODS.items() if issubclass(kind, PoolSettings)]


def options_of(method: str, pool) -> dict:
    """A folder of pictures, and a distance that few of them can keep."""
    near = {"repeat_distance": 1} if method == "match" else {}
    return {"tile_prompt": (), "pool": str(pool), **near}


def pixels(path) -> np.ndarray:
    return np.asarray(Image.open(path)).astype(float) / 255


@pytest.mark.parametrize("method", POOLED)
def test_a_folder_is_placed_and_changes_are_counted(by_method, pool, method):
    out = by_method(method, **options_of(method, pool))
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
    options = options_of("match", pool)
    plain = by_method("match", **options)
    both = by_method("match", **options, tone_adjustment=0.5, tint=0.1)
    for name, facts in record_of(both)["tiles"].items():
        change = pixels(both / f"tiles/{name}.png") - pixels(plain / f"tiles/{name}.png")
        assert facts["correction_energy"] == pytest.approx(np.mean(change**2), rel=0.02, abs=1e-5)


def test_a_drawn_pool_lies_beside_the_tiles_and_is_drawn_once(by_method, tmp_path, monkeypatch):
    out = by_method("match", tmp_path / "m", pool_size=13)
    assert len(tiles_of(out / "pool")) == 13
    for name, facts in record_of(out)["tiles"].items():
        source = out / "pool/tiles" / facts["source"]
        assert np.array_equal(pixels(out / f"tiles/{name}.png"), pixels(source))
        prompt = json.loads(Image.open(source).info["smalti"])["prompt"]
        assert facts["prompt"] == prompt
    before = {path: path.read_bytes() for path in out.rglob("*.png")}
    (out / "tiles/r00_c01.png").unlink()
    (out / "mosaic.png").unlink()
    denoise = create_autospec(denoised.denoise)
    monkeypatch.setattr(denoised, "denoise", denoise)
    by_method("match", out, pool_size=13)
    assert {path: path.read_bytes() for path in out.rglob("*.png")} == before
    assert denoise.call_count == 0


def test_a_pool_killed_half_way_goes_on_to_the_same_bytes(by_method, tmp_path, killed):
    whole = by_method("histogram", pool_size=5)
    killed()
    with pytest.raises(KeyboardInterrupt):
        by_method("histogram", tmp_path / "m", pool_size=5)
    assert len(tiles_of(tmp_path / "m/pool")) == 3
    by_method("histogram", tmp_path / "m", pool_size=5)
    for path in whole.rglob("*.png"):
        assert (tmp_path / "m" / path.relative_to(whole)).read_bytes() == path.read_bytes()


def test_a_drawn_pool_runs_through_concepts_prompts_and_colors():
    concepts, prompts = ("sylvie", "mug"), ("an <color> x", "y")
    subjects = pool_subjects(
        mosaic_settings(method="tone", tile_lora=concepts, tile_prompt=prompts, pool_size=66)
    )
    assert len(subjects) == 66
    assert [s.concept for s in subjects[:4]] == ["sylvie", "mug"] * 2
    assert [s.prompt for s in subjects[:5]] == ["a red x", "a red x", "y", "y", "an orange x"]
    assert len({s.prompt for s in subjects}) == len(COLORS) + 1
    assert subjects[64:] == subjects[:2]


@pytest.mark.parametrize("method", POOLED)
def test_a_tile_drawn_anew_changes_its_picture_alone(by_method, pool, tmp_path, method):
    options = options_of(method, pool)
    out = by_method(method, tmp_path / "m", **options)
    old, before = record_of(out)["tiles"], tiles_of(out)
    by_method(method, out, retile=[(0, 1), (1, 1)], seed=7, **options)
    new, after = record_of(out)["tiles"], tiles_of(out)
    changed = {name for name in before if before[name] != after[name]}
    assert changed == {"r00_c01.png", "r01_c01.png"}
    for name in ("r00_c01", "r01_c01"):
        assert new[name]["source"] != old[name]["source"] and new[name]["seed"] == 7
    if method == "match":  # 2 x 3 tiles: all within 1 of the middle ones
        assert len({new[f"r{r:02d}_c{c:02d}"]["source"] for r in (0, 1) for c in (0, 1)}) == 4
        assert len({new[f"r{r:02d}_c{c:02d}"]["source"] for r in (0, 1) for c in (1, 2)}) == 4
    # Once more: the same picture.
    by_method(method, out, retile=[(0, 1), (1, 1)], seed=7, **options)
    assert record_of(out)["tiles"] == new


def test_no_tile_drawn_anew_repeats_a_neighbour(by_method, pool, tmp_path):
    """Also not with the mosaic's own seed, after the neighbour took what the tile had at first."""
    options = options_of("match", pool)
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


def test_another_pool_is_another_mosaic(by_method, pool, tmp_path):
    mine, elsewhere = tmp_path / "pictures", tmp_path / "elsewhere"
    shutil.copytree(pool, mine)
    out = by_method("match", tmp_path / "m", **options_of("match", mine))
    mine.rename(elsewhere)
    options = options_of("match", elsewhere)  # the same pictures in another place
    by_method("match", out, **options)
    Image.new("RGB", (64, 64)).save(elsewhere / "00.png")
    with pytest.raises(InputError) as told:
        by_method("match", out, **options)
    assert "pool: " in str(told.value)


def test_plans_know_the_pool(small, pool, photo, tmp_path):
    def plan(**options):
        given = {"ref": str(photo), "ref_prompt": "", **options}
        return plan_mosaic(change(small, **given), concepts_dir=tmp_path)

    folder = plan(method="match", **options_of("match", pool))
    assert folder.facts()["tiles"] == f"20 pictures of {pool}"
    assert folder.seconds == 0
    six = plan(guidance=False).seconds
    assert plan(method="tone", pool_size=12).seconds == pytest.approx(2 * six)


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"method": "match", "repeat_distance": 20, "grid": "5x5"}, "25"),
        ({"method": "match", "pool": "", "pool_size": 2, "tile_prompt": ("a",)}, "pool_size"),
        ({"method": "match", "tile_prompt": ("a cat",)}, "--tile-prompt"),
        ({"method": "match", "ref": ""}, "--ref "),
    ],
    ids=str,
)
def test_what_cannot_work_is_refused_before_anything_is_drawn(
    by_method, pool, tmp_path, options, named
):
    with pytest.raises(InputError) as told:
        by_method(out=tmp_path / "m", **{"tile_prompt": (), "pool": str(pool), **options})
    assert named in str(told.value)
    assert not (tmp_path / "m").exists()
