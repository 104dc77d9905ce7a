"""A measured pull on tiles that follow a law: targets reached, few draws, any stop, old folders."""

from dataclasses import replace
from itertools import product
from unittest.mock import create_autospec

import pytest
from drawn import record_of, tiles_of
from pulling import TARGET, Law, found, job_of, strengths_of

from smalti.configs.mosaic import mosaic_settings
from smalti.generate.grid import Grid
from smalti.generate.pull import NEAR, NEAR_FEW, is_measured, parts, waves
from smalti.generate.store import Store, tile_name

LAWS = {"flat": (4.4, 0.005), "starter": (4.4, 0.04), "hard": (3.0, 0.06), "steep": (6.0, 0.005)}


@pytest.mark.parametrize(
    ("law", "grid"), [*product(LAWS, ["4x4", "8x8", "5x9"]), ("starter", "16x16")]
)
def test_the_target_is_met_whatever_the_tiles_are_like(law, grid, tmp_path):
    job = job_of(grid)
    store, base = Store(tmp_path, job.grid), Law(job, *LAWS[law])
    base.draw(store)
    assert found(store, job) == pytest.approx(TARGET, abs=0.05)
    twice = base.drawn.total() - len(job.grid.tiles)
    assert twice in (0, len(waves(job.grid)[0]))
    assert max(base.drawn.values()) <= 2


@pytest.mark.parametrize("law", LAWS)
def test_strengths_of_one_mosaic_are_near_each_other_and_recorded(law, tmp_path):
    job = job_of()
    store, base = Store(tmp_path, job.grid), Law(job, *LAWS[law])
    base.draw(store)
    first, quarter, others = store.recorded("pull")["strengths"]
    assert abs(quarter - first) <= NEAR_FEW + 1e-9 and abs(others - quarter) <= NEAR + 1e-9
    assert store.recorded("guidance_strength") == others
    drawn, (few, more, rest) = strengths_of(store), waves(job.grid)
    assert all(drawn[tile] == first for tile in few)
    assert all(drawn[tile] == quarter for tile in more)
    assert all(drawn[tile] == others for tile in rest)


@pytest.mark.parametrize("stop", [1, 3, 4, 7, 16, 19, 50])
def test_a_stop_anywhere_changes_no_byte(stop, tmp_path):
    """Once in the first tiles, once between their two strengths, once at every look."""
    job = job_of()
    whole, stopped = Store(tmp_path / "whole", job.grid), Store(tmp_path / "stopped", job.grid)
    Law(job, *LAWS["flat"]).draw(whole)
    with pytest.raises(KeyboardInterrupt):
        Law(job, *LAWS["flat"]).draw(stopped, stop_after=stop)
    Law(job, *LAWS["flat"]).draw(stopped)
    assert tiles_of(stopped.folder) == tiles_of(whole.folder)
    assert stopped.recorded("pull") == whole.recorded("pull")


def test_a_stop_between_discarding_and_recording_changes_nothing(tmp_path, monkeypatch):
    job = job_of()
    whole, stopped = Store(tmp_path / "whole", job.grid), Store(tmp_path / "stopped", job.grid)
    Law(job, *LAWS["flat"]).draw(whole)
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(Store, "update", create_autospec(Store.update, side_effect=KeyboardInterrupt))
        Law(job, *LAWS["flat"]).draw(stopped)
    assert len(stopped.missing()) == 64
    Law(job, *LAWS["flat"]).draw(stopped)
    assert tiles_of(stopped.folder) == tiles_of(whole.folder)


def test_a_tile_that_is_drawn_anew_is_pulled_as_it_was(tmp_path):
    job = job_of()
    store, base = Store(tmp_path, job.grid), Law(job, *LAWS["flat"])
    base.draw(store)
    before, record = strengths_of(store), store.recorded("pull")
    anew = [sorted(wave)[0] for wave in waves(job.grid)]
    asked = {}
    for part, wanted in parts(replace(job, tiles=tuple(anew)), store, anew):
        assert set(wanted) == set(part.tiles)
        asked |= dict.fromkeys(wanted, part.mosaic.guide.guidance_strength)
    assert asked == {tile: before[tile] for tile in anew}
    assert store.recorded("pull") == record


def test_a_folder_that_an_older_version_began_goes_on_at_its_strength(tmp_path):
    job = job_of()
    store, base = Store(tmp_path, job.grid), Law(job, *LAWS["hard"])
    store.update(guidance_strength=0.23)
    base.draw(store)
    assert set(strengths_of(store).values()) == {0.23}
    assert store.recorded("pull") is None and max(base.drawn.values()) == 1


@pytest.mark.parametrize(
    "options", [{"guidance_strength": 0.1}, {"guidance": False}, {"method": "adain"}], ids=str
)
def test_where_the_strength_is_given_or_there_is_none_nothing_is_measured(options, tmp_path):
    asked = mosaic_settings(tile_prompt=("a cat",), **options)
    job = replace(job_of(), is_measured=is_measured(asked))
    store = Store(tmp_path, job.grid)
    assert [(part, wanted) for part, wanted in parts(job, store, [(0, 1)])] == [(job, [(0, 1)])]
    assert store.recorded("pull") is None


@pytest.mark.parametrize(
    ("grid", "sizes"),
    [("1x1", (1,)), ("1x2", (2,)), ("2x3", (3, 3)), ("4x4", (3, 5, 8)), ("8x8", (3, 13, 48)),
     ("16x16", (12, 52, 192)), ("40x50", (12, 52, 1936))],
)  # fmt: skip
def test_parts_are_a_handful_a_quarter_and_the_rest(grid, sizes):
    grid = job_of(grid).grid
    found = waves(grid)
    assert tuple(len(wave) for wave in found) == sizes
    assert frozenset().union(*found) == set(grid.tiles)


@pytest.mark.slow
def test_a_drawn_mosaic_measures_its_pull_and_goes_on_after_a_stop(small, make, tmp_path, killed):
    """By a model; giving the last strength draws the tiles of the last part again."""
    options = {"guidance_strength": None, "target_ssim": 0.4, "batch_size": 1}
    whole = make(small, **options)
    batches = killed()
    with pytest.raises(KeyboardInterrupt):
        make(small, tmp_path / "m", **options)
    make(small, tmp_path / "m", **options)
    assert batches.call_count >= 6
    assert tiles_of(tmp_path / "m") == tiles_of(whole)
    record = record_of(whole)
    assert record_of(tmp_path / "m") == record
    given = make(small, **options | {"guidance_strength": record["guidance_strength"]})
    assert "pull" not in record_of(given)
    rest = [f"{tile_name(tile)}.png" for tile in waves(Grid(2, 3, 64, 21))[-1]]
    assert all(tiles_of(given)[name] == tiles_of(whole)[name] for name in rest)


@pytest.mark.slow
def test_the_papers_guides_have_no_pull_to_tell(small, make):
    record = record_of(make(small, guide="exact", steps=1))
    assert "guidance_strength" not in record and "pull" not in record
