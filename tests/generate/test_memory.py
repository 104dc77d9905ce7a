"""How batches shrink, and how many tiles surely fit."""

from unittest.mock import create_autospec

import pytest
import torch

from smalti.configs.errors import SmaltiError
from smalti.configs.mosaic import mosaic_settings
from smalti.generate import memory
from smalti.generate.grid import Grid
from smalti.generate.memory import (
    LONGEST,
    bytes_per_tile,
    choose_batch,
    in_batches,
    seconds_per_call,
)
from smalti.generate.methods import method_of

TILES = [(0, col) for col in range(7)]
GRID = Grid(1, 7, 64, 16)


def run(batch: int, make, wanted=frozenset(TILES)):
    """What came out, and the size that worked."""
    made = []

    def whole():
        return (yield from in_batches(TILES, batch, make, wanted))

    drawing = whole()
    while True:
        try:
            made.append(next(drawing))
        except StopIteration as end:
            return made, end.value


@pytest.mark.parametrize("error", [torch.OutOfMemoryError("CUDA"), MemoryError()])
def test_a_batch_is_halved_until_it_fits(error):
    sizes = []

    def make(part):
        sizes.append(len(part))
        if len(part) > 2:
            raise error
        yield from part

    assert run(6, make) == (TILES, 1)
    assert sizes == [6, 3, 1, 1, 1, 1, 1, 1, 1]


def test_batches_that_nobody_needs_are_left_out():
    asked = []

    def make(part):
        asked.append(part)
        yield from part

    assert run(3, make, {(0, 4)}) == ([(0, 4)], 3)
    assert asked == [TILES[3:6]]


def test_tiles_are_handed_on_before_the_next_one_is_made():
    made = []

    def make(part):
        for tile in part:
            made.append(tile)
            yield tile

    drawing = in_batches(TILES, 4, make, TILES)
    assert [next(drawing), next(drawing)] == TILES[:2] == made


def test_what_was_made_before_memory_ran_out_is_kept():
    """As when a decoder needs more than the steps before it."""
    rounds = []

    def make(part):
        rounds.append(part)
        for number, tile in enumerate(part):
            if len(part) > 2 and number == 1:
                raise MemoryError
            yield tile

    assert run(4, make) == (TILES, 2)
    assert rounds == [TILES[:4], TILES[1:3], TILES[3:5], TILES[5:7]]


def test_a_tile_that_does_not_fit_is_an_error_of_ours_and_others_are_not():
    def full(part):
        raise MemoryError
        yield

    def broken(part):
        raise RuntimeError("a bug")
        yield

    with pytest.raises(SmaltiError) as told:
        run(1, full)
    assert "--tile-size" in str(told.value)
    with pytest.raises(RuntimeError) as passed:
        run(4, broken)
    assert str(passed.value) == "a bug"


def test_an_error_of_whoever_takes_the_tiles_is_not_taken_for_the_makers():
    drawing = in_batches(TILES, 4, iter, TILES)
    next(drawing)
    with pytest.raises(MemoryError):
        drawing.throw(MemoryError())


def test_only_guides_with_a_backward_pass_take_its_memory(tiny_base):
    def needs(**options):
        return bytes_per_tile(tiny_base, mosaic_settings(**options), GRID)

    plain = needs(guidance=False)
    assert needs() == plain == needs(guide="x0-gradient", guide_decoder="linear")
    assert needs(guide="exact") == needs(guide="lpips") == 4 * plain
    assert plain < needs(guide="x0-gradient") < needs(guide="exact")


def test_as_many_tiles_as_memory_holds_but_at_least_one(tiny_base, monkeypatch):
    monkeypatch.setattr(memory, "seconds_per_call", lambda base, side: 0.0)
    mosaic = mosaic_settings()
    each = bytes_per_tile(tiny_base, mosaic, GRID)
    for room, fitting in ((0, 1), (3.5, 3), (100, 7)):  # no more than there are
        free = int(room * each / memory.MEMORY_SHARE)
        monkeypatch.setattr(memory, "free_memory", lambda device, free=free: free)
        assert choose_batch(tiny_base, mosaic, GRID) == fitting
    many = Grid(20, 20, 64, 16)
    assert choose_batch(tiny_base, mosaic, many) == memory.MAX_BATCH["cpu"]


@pytest.mark.parametrize(("seconds", "batch"), [(1e-6, 16), (4.0, 8), (13.0, 4), (59, 1), (900, 1)])
def test_a_batch_takes_no_longer_than_a_kill_may_lose(tiny_base, monkeypatch, seconds, batch):
    """Measured seconds of a tile, and the largest power of two of them that a minute holds."""
    mosaic = mosaic_settings()
    call = seconds / method_of(mosaic).calls(mosaic)
    monkeypatch.setattr(memory, "seconds_per_call", lambda base, side: call)
    monkeypatch.setattr(memory, "free_memory", lambda device: 10**12)
    found = choose_batch(tiny_base, mosaic, Grid(20, 20, 64, 16))
    assert found == batch and (found == 1 or found * seconds <= LONGEST)


def test_pictures_that_are_only_placed_are_not_timed(tiny_base, monkeypatch):
    monkeypatch.delattr(memory, "seconds_per_call")
    monkeypatch.setattr(memory, "free_memory", lambda device: 10**12)
    own = mosaic_settings(method="match", pool="mine", ref="photo.jpg")
    assert choose_batch(tiny_base, own, GRID) == 7


def test_calls_are_timed_once_they_are_warm(tiny_base, monkeypatch):
    """A first call that takes longer, as on a GPU, does not count; none need follow a slow one."""
    real = tiny_base.network
    for ticks, wanted in (([0, 5, 5, 5.5, 6, 6.25], 0.25), ([0, 100], 100)):
        clock, calls = iter(ticks), create_autospec(real, side_effect=real)
        monkeypatch.setattr(memory.time, "perf_counter", lambda clock=clock: next(clock))
        monkeypatch.setattr(tiny_base, "network", calls)
        assert seconds_per_call(tiny_base, 64) == wanted
        assert calls.call_count == len(ticks) / 2
        assert calls.call_args.args[0].shape == (1, 4, 8, 8)
