"""The cheapest assignment of a dense table of costs, also where it is large and nearly square.

SciPy's `linear_sum_assignment` finds it by shortest augmenting paths (Crouse 2016), from prices of
0. Where there is room, few paths are long; where everybody's last choice is somebody's only one,
nearly all are. An assignment of all rows to all columns stays the cheapest when each row's and each
column's costs are lowered by a price of their own, so it may begin with good ones: those of the
same problem with entropy (Cuturi 2013), whose prices take products of matrices and vectors only.
How good they are decides how long the rest takes, never what comes out.
"""

import numpy as np

LARGE = 500  # rows or columns, below which there is nothing to gain
NEARLY_SQUARE = 0.8  # shorter side as a share of the longer
HALVINGS = 8  # of the temperature, from half the median cost
SWEEPS = 15  # over rows and columns at each
ENDS = (np.float32(1e-30), np.float32(1e30))  # of a factor, where a row has none it can pay


def cheapest_assignment(cost: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Rows and columns of the assignment of least total cost, as SciPy's function has them.

    cost: [P, T], finite; min(P, T) pairs come back. Needs as much memory again, and half of that.
    """
    from scipy.optimize import linear_sum_assignment

    rows, cols = cost.shape
    side = max(rows, cols)
    if side < LARGE or min(rows, cols) < NEARLY_SQUARE * side:
        return linear_sum_assignment(cost)
    square = np.zeros((side, side))  # who is paired with an added row or column gets nothing
    square[:rows, :cols] = cost
    for_rows, for_cols = prices(square)
    square -= for_cols
    square -= for_rows[:, None]
    square -= square.min(1)[:, None]
    chosen, given = linear_sum_assignment(square)
    real = (chosen < rows) & (given < cols)
    return chosen[real], given[real]


def prices(cost: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Nearly optimal dual prices of rows and columns, of square costs [N, N].

    Sinkhorn's iteration (Cuturi 2013, Algorithm 1) with its factors taken into the prices at each
    of the falling temperatures (Schmitzer 2019, section 3).
    """
    for_rows, for_cols = cost.min(1), np.zeros(len(cost))
    kernel = np.empty(cost.shape, np.float32)
    temperature = float(np.median(cost[:: max(1, len(cost) // 100)]))
    for _ in range(HALVINGS if temperature > 0 else 0):
        temperature /= 2
        np.subtract(cost, for_rows[:, None], out=kernel, casting="same_kind")
        kernel -= for_cols.astype(np.float32)
        kernel /= -np.float32(temperature)
        np.exp(kernel.clip(max=80, out=kernel), out=kernel)
        of_rows, of_cols = _balanced(kernel)
        for_rows = for_rows + temperature * np.log(of_rows, dtype=np.float64)
        for_cols = for_cols + temperature * np.log(of_cols, dtype=np.float64)
    return for_rows, for_cols


def _balanced(kernel: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Factors of rows and columns that make all sums of a kernel [N, N] about 1."""
    of_cols = np.ones(len(kernel), np.float32)
    for _ in range(SWEEPS):
        of_rows = 1 / (kernel @ of_cols).clip(*ENDS)
        of_cols = 1 / (of_rows @ kernel).clip(*ENDS)
    return of_rows, of_cols
