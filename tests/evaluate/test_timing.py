"""Arithmetic of times, on a clock of our own."""

import pytest

from smalti.evaluate import timing
from smalti.evaluate.timing import PartTimer, median_seconds


class Clock:
    """Stands still but for what is said to pass."""

    def __init__(self):
        self.now = 0.0

    def passes(self, seconds: float) -> None:
        self.now += seconds


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(timing.time, "perf_counter", lambda: made.now)
    return made


def test_the_median_round_counts_and_the_first_only_warms_up(clock: Clock):
    durations = iter([100.0, 4.0, 2.0, 9.0])
    assert median_seconds([lambda: clock.passes(next(durations))], 3) == [4.0]


def test_variants_take_turns(clock: Clock):
    order: list[int] = []
    runs = [lambda n=n: (order.append(n), clock.passes(n)) for n in range(3)]
    assert median_seconds(runs, 2) == [0, 1, 2]
    assert order == [0, 1, 2] * 3


def test_a_part_inside_another_counts_for_the_outer_one(clock: Clock):
    timer = PartTimer(("guide", "decode", "text"))
    decode = timer.timed("decode", lambda: clock.passes(2.0))
    with timer.part("guide"):
        clock.passes(1.0)
        decode()
    decode()
    clock.passes(50.0)  # outside of all parts
    assert timer.seconds == {"guide": 3.0, "decode": 2.0, "text": 0.0}


def test_a_part_that_fails_counts_and_ends(clock: Clock):
    timer = PartTimer(("guide", "decode"))

    def fail() -> None:
        clock.passes(1.0)
        raise ValueError

    with pytest.raises(ValueError):
        timer.timed("guide", fail)()
    timer.timed("decode", lambda: clock.passes(4.0))()
    assert timer.seconds == {"guide": 1.0, "decode": 4.0}


def test_the_device_is_idle_at_every_reading(clock: Clock):
    """Work that was only queued is waited for, and counts for the part that queued it."""
    queue = [3.0]
    timer = PartTimer(("UNet",), lambda: [clock.passes(queue.pop()) for _ in queue[:]])
    with timer.part("UNet"):
        queue.append(5.0)
    assert timer.seconds == {"UNet": 5.0}
