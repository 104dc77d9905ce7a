"""Single tiles drawn anew: that tile only, back again, stopped half way, and what is refused."""

import shutil

import numpy as np
import pytest
from drawn import change, edit_record, record_of, tiles_of, write_record
from PIL import Image

from smalti.configs.errors import InputError
from smalti.configs.loading import resolve
from smalti.configs.presets import load_preset
from smalti.configs.tables import read_tables
from smalti.generate.mosaic import generate_mosaic
from smalti.generate.plan import plan_mosaic
from smalti.generate.retile import plan_retile, recorded_tables


@pytest.fixture
def copy(finished, tmp_path):
    """A finished mosaic that may be written to."""
    return shutil.copytree(finished, tmp_path / "m")


def seeds_of(folder) -> dict[str, int]:
    return {name: tile["seed"] for name, tile in record_of(folder)["tiles"].items()}


def test_retile_touches_that_tile_only(finished, small, make, copy):
    before = {p: p.stat().st_mtime_ns for p in (copy / "tiles").iterdir()}
    make(small, copy, retile=[(1, 2)], seed=7)
    changed = [p.name for p, time in before.items() if p.stat().st_mtime_ns != time]
    assert changed == ["r01_c02.png"]
    assert tiles_of(copy)["r01_c02.png"] != tiles_of(finished)["r01_c02.png"]
    assert [name for name, seed in seeds_of(copy).items() if seed == 7] == ["r01_c02"]
    canvas = np.asarray(Image.open(copy / "mosaic.png"))
    assert np.array_equal(canvas[64:, 128:], np.asarray(Image.open(copy / "tiles/r01_c02.png")))
    make(small, copy)  # the original command leaves the new tile alone
    assert seeds_of(copy)["r01_c02"] == 7
    make(small, copy, retile=[(1, 2)])  # back to the mosaic's own seed
    assert seeds_of(copy) == seeds_of(finished)


@pytest.mark.parametrize(("tile", "seed", "named"), [((2, 0), 7, "2,0"), ((0, 0), 0, "--seed")])
def test_bad_retiles_are_refused(finished, small, make, tile, seed, named):
    with pytest.raises(InputError) as told:
        make(small, finished, retile=[tile], seed=seed)
    assert named in str(told.value)


def test_a_tile_goes_back_to_the_mosaics_own_seed(small, make, tmp_path):
    """Drawn alone both times, it has the very same bytes."""
    out = make(small, tmp_path / "m", batch_size=1)
    whole = tiles_of(out)
    make(small, out, retile=[(0, 1)], seed=7)
    assert tiles_of(out) != whole
    make(small, out, retile=[(0, 1)])
    assert tiles_of(out) == whole


def test_retiling_that_was_stopped_goes_on(small, make, tmp_path, killed):
    """What was drawn stays; the mosaic shows it after the same command, or the first one."""
    tiles, two = [(0, 0), (0, 2), (1, 0), (1, 1)], {"batch_size": 2, "steps": 1}  # so two batches
    first = make(small, tmp_path / "first", **two)
    whole = make(small, shutil.copytree(first, tmp_path / "whole"), retile=tiles, seed=7, **two)
    for again in ({"retile": tiles, "seed": 7}, {}):
        out = shutil.copytree(first, tmp_path / f"m{len(again)}")
        killed()
        with pytest.raises(KeyboardInterrupt):
            make(small, out, retile=tiles, seed=7, **two)
        assert record_of(out)["state"] == "unfinished"
        times = {p: p.stat().st_mtime_ns for p in (out / "tiles").iterdir()}
        make(small, out, **two, **again)
        touched = {p.stem for p, time in times.items() if p.stat().st_mtime_ns != time}
        assert touched == ({"r01_c00", "r01_c01"} if again else set())
        assert (tiles_of(out) == tiles_of(whole)) == bool(again)
        redrawn = {name for name, seed in seeds_of(out).items() if seed == 7}
        assert len(redrawn) == (4 if again else 2) and record_of(out)["state"] == "finished"
        canvas = np.asarray(Image.open(out / "mosaic.png"))
        for name in redrawn:
            row, col = int(name[1:3]), int(name[5:7])
            shown = canvas[64 * row : 64 * row + 64, 64 * col : 64 * col + 64]
            assert np.array_equal(shown, np.asarray(Image.open(out / f"tiles/{name}.png")))


def test_retile_needs_no_photo_but_takes_no_other(small, make, tmp_path):
    for name, color in (("photo", "red"), ("other", "blue")):
        Image.new("RGB", (80, 70), color).save(tmp_path / f"{name}.png")
    photo = {"ref": str(tmp_path / "photo.png"), "ref_prompt": "", "steps": 1}
    out = make(small, tmp_path / "m", **photo)
    with pytest.raises(InputError) as told:
        make(small, out, retile=[(0, 0)], seed=7, **{**photo, "ref": str(tmp_path / "other.png")})
    assert "reference" in str(told.value)
    (tmp_path / "photo.png").rename(tmp_path / "moved.png")
    make(small, out, retile=[(0, 0)], seed=7, **photo)
    make(small, out, retile=[(0, 1)], seed=7, **{**photo, "ref": str(tmp_path / "moved.png")})
    assert list(seeds_of(out).values()) == [7, 7, 0, 0, 0, 0]
    (out / "reference.png").unlink()  # the mosaic's own copy: now the photo itself is needed
    (tmp_path / "other.png").rename(tmp_path / "photo.png")
    with pytest.raises(InputError) as told:
        make(small, out, retile=[(0, 0)], seed=8, **photo)
    assert "reference" in str(told.value)


def test_a_plan_to_retile_says_what_is_drawn_and_refuses_what_the_run_would(small, finished):
    whole = plan_mosaic(small, concepts_dir=finished)
    plan = plan_retile(change(small, seed=7), finished, [(1, 2), (0, 0)], concepts_dir=finished)
    told = plan.facts()["drawn anew"]
    assert told.startswith("2 ") and told.endswith(" 7")
    assert plan.settings == whole.settings and plan.identity == whole.identity
    assert plan.seconds == pytest.approx(whole.seconds / 3)
    with pytest.raises(InputError):
        plan_retile(change(small, seed=7), finished, [(2, 0)], concepts_dir=finished)


def test_another_missing_tile_is_named(small, make, copy):
    (copy / "tiles/r00_c01.png").unlink()
    with pytest.raises(InputError) as told:
        make(small, copy, retile=[(1, 1)], seed=7)
    assert "0,1" in str(told.value) and "--retile" in str(told.value)


def test_a_refusal_leaves_a_finished_mosaic_finished(small, make, copy):
    edit_record(copy, base_fingerprint="another")
    with pytest.raises(InputError):
        make(small, copy, retile=[(1, 1)], seed=7)
    assert record_of(copy)["state"] == "finished"


def test_retile_needs_a_finished_mosaic(small, make, tmp_path):
    with pytest.raises(InputError) as told:
        make(small, tmp_path / "none", retile=[(0, 0)], seed=7)
    assert "none" in str(told.value)


def add_unknown_setting(folder) -> None:
    record = record_of(folder)
    record["settings"]["mosaic"]["sampler"]["stepz"] = 4
    edit_record(folder, settings=record["settings"])


def test_an_unknown_setting_is_refused_as_a_config_files_is(small, make, copy):
    """With the same words, the file and the nearest name among them."""
    add_unknown_setting(copy)
    refusals = []
    for read in (
        lambda: read_tables(copy / "mosaic.json"),
        lambda: recorded_tables(copy),
        lambda: make(small, copy, retile=[(0, 0)], seed=7),
    ):
        with pytest.raises(InputError) as told:
            read()
        refusals.append(str(told.value))
    assert len(set(refusals)) == 1
    assert all(word in refusals[0] for word in ("mosaic.json", "stepz", "steps"))


def test_recorded_settings_are_those_of_the_mosaic_and_a_preset_goes_over_them(small, finished):
    """What the preset does not name stays, the base and the seed included."""
    recorded = recorded_tables(finished)
    again = resolve(recorded=recorded)
    assert again.base == small.base
    assert again.mosaic == plan_mosaic(small, concepts_dir=finished).settings.mosaic
    given = load_preset("mosaic", "draft")["mosaic"]
    over = resolve(recorded=recorded, mosaic="draft").mosaic.flat()
    assert {name: over[name] for name in given} == given
    rest = over.keys() - given
    assert {n: over[n] for n in rest} == {n: again.mosaic.flat()[n] for n in rest}


def in_the_first_format(folder) -> None:
    """Turn a record into what smalti wrote before: flat settings, and 0 for what is unset."""
    record = record_of(folder)
    groups = record["settings"]["mosaic"]
    flat = {n: 0 if v == "auto" else v for group in groups.values() for n, v in group.items()}
    flat |= {"guide": groups["guide"]["name"], "method": groups["method"]["name"]}
    flat |= {"mixed_precision": groups["machine"]["mixed_precision"]}
    del flat["name"], record["precision"]
    identity = {n: 0 if v is None else v for n, v in record["identity"].items()}
    del identity["precision"]
    settings = record["settings"] | {"mosaic": flat}
    write_record(folder, record | {"format": 1, "identity": identity, "settings": settings})


def test_a_mosaic_of_the_first_format_is_continued_read_and_retiled(
    finished, small, engine, copy
):
    in_the_first_format(copy)
    assert record_of(copy)["settings"]["mosaic"]["tile_size"] == 0
    wanted = plan_mosaic(small, concepts_dir=copy).settings
    assert resolve(config=copy / "mosaic.json").mosaic == wanted.mosaic
    assert resolve(recorded=recorded_tables(copy)).mosaic == wanted.mosaic
    for name in ("tiles/r00_c01.png", "mosaic.png"):
        (copy / name).unlink()
    generate_mosaic(small, copy, concepts_dir=copy, engine=engine)
    assert tiles_of(copy) == tiles_of(finished)
    assert record_of(copy) == record_of(finished) | {"identity": record_of(copy)["identity"]}
    recorded = resolve(recorded=recorded_tables(copy))
    generate_mosaic(
        change(recorded, seed=7), copy, concepts_dir=copy, engine=engine, retile=[(0, 0)]
    )
    assert seeds_of(copy)["r00_c00"] == 7
    generate_mosaic(small, copy, concepts_dir=copy, engine=engine)
