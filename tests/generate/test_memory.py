"""How batches shrink, and how many tiles surely fit."""

import pytest
import torch

from smalti.configs.errors import SmaltiError
from smalti.configs.mosaic import mosaic_settings
from smalti.generate import memory
from smalti.generate.grid import Grid
from smalti.generate.memory import bytes_per_tile, choose_batch, in_batches

TILES = [(0, col) for col in range(7)]
GRID = Grid(1, 7, 64, 16)


def run(batch: int, make, needed=lambda part: True):
    """What came out, and the size that worked."""
    made = []

    def whole():
        return (yield from in_batches(TILES, batch, make, needed))

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
        return part

    assert run(6, make) == (TILES, 1)
    assert sizes == [6, 3, 1, 1, 1, 1, 1, 1, 1]


def test_batches_that_nobody_needs_are_left_out():
    assert run(3, list, lambda part: (0, 4) in part) == (TILES[3:6], 3)


def test_a_tile_that_does_not_fit_is_an_error_of_ours_and_others_are_not():
    def full(part):
        raise MemoryError

    def broken(part):
        raise RuntimeError("a bug")

    with pytest.raises(SmaltiError) as told:
        run(1, full)
    assert "--tile-size" in str(told.value)
    with pytest.raises(RuntimeError) as passed:
        run(4, broken)
    assert str(passed.value) == "a bug"


def test_an_error_of_whoever_takes_the_tiles_is_not_taken_for_the_makers():
    drawing = in_batches(TILES, 4, list, lambda part: True)
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
    mosaic = mosaic_settings()
    each = bytes_per_tile(tiny_base, mosaic, GRID)
    for room, fitting in ((0, 1), (3.5, 3), (100, 7)):  # no more than there are
        free = int(room * each / memory.MEMORY_SHARE)
        monkeypatch.setattr(memory, "free_memory", lambda device, free=free: free)
        assert choose_batch(tiny_base, mosaic, GRID) == fitting
    many = Grid(20, 20, 64, 16)
    assert choose_batch(tiny_base, mosaic, many) == memory.MAX_BATCH["cpu"]
