"""Time side by side: variants that take turns, and the seconds of named parts of a run."""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from statistics import median
from typing import Any


def median_seconds(runs: Sequence[Callable[[], object]], rounds: int) -> list[float]:
    """Median seconds of each run over rounds in which all take turns; one more round warms up.

    A busy machine slows all of them alike, so that their ratios stay what they are.
    """
    times: list[list[float]] = [[] for _ in runs]
    for turn in range(rounds + 1):
        for run, found in zip(runs, times, strict=True):
            began = time.perf_counter()
            run()
            if turn:
                found.append(time.perf_counter() - began)
    return [median(found) for found in times]


class PartTimer:
    """Adds up the seconds of named parts; a part inside another counts for the outer one."""

    def __init__(self, parts: Sequence[str], synchronize: Callable[[], object] = lambda: None):
        """Call `synchronize` before every reading, so that a GPU's queue is empty."""
        self.seconds = dict.fromkeys(parts, 0.0)
        self._synchronize = synchronize
        self._inside = False

    @contextmanager
    def part(self, name: str) -> Iterator[None]:
        """Within it, time counts for a part, unless it counts for another one already."""
        if self._inside:
            yield
            return
        self._synchronize()
        self._inside, began = True, time.perf_counter()
        try:
            yield
        finally:
            self._synchronize()
            self.seconds[name] += time.perf_counter() - began
            self._inside = False

    def timed(self, name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        """A function that does the same and counts for a part."""

        def counted(*arguments: Any, **options: Any) -> Any:
            with self.part(name):
                return function(*arguments, **options)

        return counted
