"""Large assignments against SciPy's, whose start is another."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linear_sum_assignment

from smalti.generate import assignment
from smalti.generate.assignment import cheapest_assignment, prices


def skewed(rows: int, cols: int, seed: int = 0) -> np.ndarray:
    """Costs of photos mostly light at tiles mostly dark, 1 % of them ruled out."""
    random = np.random.default_rng(seed)
    light, dark = random.beta(5, 2, (rows, 3)), random.beta(2, 5, (cols, 3))
    cost = np.square(light[:, None] - dark).mean(2)
    return np.where(random.random(cost.shape) < 0.01, 1 + cost.sum(), cost)


@pytest.mark.parametrize("shape", [(500, 500), (420, 500), (500, 420)])
def test_a_large_assignment_costs_as_little_as_scipys(shape):
    cost = skewed(*shape)
    before = cost.copy()
    rows, cols = cheapest_assignment(cost)
    assert len(set(rows.tolist())) == len(set(cols.tolist())) == len(rows) == min(shape)
    assert cost[rows, cols].sum() == pytest.approx(cost[linear_sum_assignment(cost)].sum())
    assert np.array_equal(cost, before)


@given(st.integers(1, 6), st.integers(1, 6), st.integers(0, 10**6), st.sampled_from([0, 1, 9]))
@settings(max_examples=30, deadline=None, derandomize=True)
def test_a_small_one_from_prices_too(rows, cols, seed, most):
    """Ties, flat and empty tables of whole numbers, which prices know nothing of."""
    cost = np.random.default_rng(seed).integers(0, most + 1, (rows, cols)).astype(float)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(assignment, "LARGE", 0)
        patch.setattr(assignment, "NEARLY_SQUARE", 0)
        found = cheapest_assignment(cost)
    assert len(found[0]) == min(rows, cols)
    assert cost[found].sum() == cost[linear_sum_assignment(cost)].sum()


def test_prices_are_finite_and_nearly_promise_the_optimum():
    """Weak duality: prices that no pair undercuts are no more than the cheapest in all."""
    cost = skewed(300, 300)
    for_rows, for_cols = prices(cost)
    for_rows = for_rows + (cost - for_rows[:, None] - for_cols).min(1)
    best = cost[linear_sum_assignment(cost)].sum()
    assert 0.97 * best <= for_rows.sum() + for_cols.sum() <= best * (1 + 1e-9)
    assert all(np.isfinite(found).all() for found in prices(np.zeros((4, 4))))
