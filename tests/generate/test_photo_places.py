"""Places of photos against all permutations; guarantee and distance of every photo."""

from itertools import permutations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from smalti.generate.photo_places import choose_places, costs

FEW = settings(max_examples=60, deadline=None, derandomize=True)


def spots_of(rows: int, cols: int) -> list[tuple[int, int]]:
    return [(row, col) for row in range(rows) for col in range(cols)]


@given(st.integers(1, 4), st.sampled_from([(1, 4), (2, 3), (3, 2), (1, 6)]), st.integers(0, 10**6))
@FEW
def test_the_assignment_costs_as_little_as_the_best_of_all(photos, shape, seed):
    spots = spots_of(*shape)
    cost = np.random.default_rng(seed).integers(0, 9, (photos, len(spots))).astype(float)
    best = min(
        sum(cost[photo, place] for photo, place in enumerate(chosen))
        for chosen in permutations(range(len(spots)), photos)
    )
    placed = choose_places(cost, spots, photos, 1)
    assert sorted(placed.values()) == list(range(photos))
    assert sum(cost[photo, spots.index(tile)] for tile, photo in placed.items()) == best


@given(
    st.integers(1, 12), st.integers(4, 6), st.integers(3, 6), st.integers(1, 4),
    st.floats(0.1, 1), st.integers(0, 10**6), st.booleans(),
)  # fmt: skip
@FEW
def test_each_photo_appears_and_repeats_keep_apart(photos, rows, cols, distance, share, seed, fix):
    random, spots = np.random.default_rng(seed), spots_of(rows, cols)
    count = max(photos, round(share * len(spots)))
    fixed = {spots[3]: 0, spots[4]: 0} if fix else {}
    free = [tile for tile in spots if tile not in fixed]
    count = min(count + len(fixed), len(spots))
    placed = choose_places(random.random((photos, len(free))), free, count, distance, fixed)
    assert set(placed.values()) == set(range(photos))
    assert photos <= len(placed) <= count and set(placed) <= set(spots)
    assert fixed.items() <= placed.items()
    for tile, photo in placed.items():
        for other, twin in placed.items():
            if tile < other and photo == twin and not {tile, other} <= set(fixed):
                assert max(abs(tile[0] - other[0]), abs(tile[1] - other[1])) > distance
    if len(placed) < count:  # only where no photo may lie anywhere that is left
        for row, col in set(free) - set(placed):
            near = {photo for tile, photo in placed.items()
                    if max(abs(tile[0] - row), abs(tile[1] - col)) <= distance}  # fmt: skip
            assert near == set(range(photos))


def test_repeats_are_as_fair_as_places_allow():
    """Every photo is used as often as any other, give or take one, where distances do not bind."""
    spots, random = spots_of(10, 10), np.random.default_rng(0)
    placed = choose_places(random.random((7, 100)), spots, 24, 1)
    used = np.bincount(list(placed.values()))
    assert used.sum() == 24 and used.max() - used.min() <= 1


def test_costs_are_mean_square_distances_of_cells():
    random = np.random.default_rng(0)
    photos, blocks = random.random((700, 12), np.float32), random.random((5, 12), np.float32)
    far = np.square(photos[:, None] - blocks).reshape(700, 5, 3, 4).sum(2).mean(2)
    found = costs(photos, blocks)
    assert found.dtype == np.float64 and found == pytest.approx(far, abs=1e-6)
    assert costs(photos, blocks[:0]).shape == (700, 0)
    assert (costs(photos, photos[:9]) >= 0).all()
