"""One display of progress: tenths as lines, a bar on a terminal, speed without earlier work."""

import io
import re
import sys

import pytest

from smalti.configs import progress
from smalti.configs.progress import Pace, duration, reporting, say


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Time, in seconds, as a test sets it."""
    now = [100.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    return now


def test_off_a_terminal_it_is_one_line_at_each_tenth(capsys, clock):
    with reporting(None, "sylvie", "it") as report:
        for step in range(41):
            report(step, 40, f"loss {step}")
            clock[0] += 0.5  # two steps per second
    out, err = capsys.readouterr()
    lines = err.splitlines()
    assert out == "" and "\x1b" not in err
    assert [line.split()[1].rstrip(",") for line in lines] == [f"{k}/40" for k in range(0, 41, 4)]
    assert all(line.startswith("sylvie") for line in lines)
    assert "loss 4" in lines[1] and "2.00 it/s" in lines[1] and "18 s" in lines[1]


def test_work_without_a_unit_is_shown_in_per_cent(capsys):
    with reporting(None, "mosaic") as report:
        for tile in range(1, 5):
            report(tile, 4, "tiles")
    lines = capsys.readouterr().err.splitlines()
    assert [int(re.search(r"(\d+) %", line)[1]) for line in lines] == [25, 50, 75, 100]


def test_what_was_done_before_is_no_speed(clock):
    pace = Pace()
    assert pace.hear(700, 800) and pace.rate == 0
    clock[0] += 2
    assert not pace.hear(710, 800)
    assert pace.rate == pytest.approx(5)


@pytest.mark.parametrize(("done", "total"), [(1, 300), (1, 15)])
def test_new_work_has_a_new_speed(clock, done: int, total: int):
    pace = Pace()
    for image in range(16):
        pace.hear(image, 15)
        clock[0] += 10
    assert pace.hear(done, total) and pace.rate == 0


def test_on_a_terminal_it_is_one_bar_with_lines_above_it(monkeypatch):
    monkeypatch.setattr(sys, "stderr", screen := Terminal())
    with reporting(None, "sylvie", "it") as report:
        report(3, 4, "loss [0.5]")
        say("a line above")
        report(4, 4, "loss [0.25]")
    shown = screen.getvalue()
    assert "sylvie" in shown and "4/4" in shown and "[0.25]" in shown
    assert shown.index("a line above") < shown.rindex("4/4")


def test_a_callers_own_display_is_the_only_one(capsys):
    seen = []
    with reporting(lambda *told: seen.append(told), "mosaic") as report:
        report(1, 2, "tiles")
    assert seen == [(1, 2, "tiles")] and capsys.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("seconds", "unit"), [(0.4, "s"), (119, "s"), (121, "min"), (7199, "min"), (7201, "h")]
)
def test_durations_are_read_back_to_within_their_last_digit(seconds: float, unit: str):
    number, found = duration(seconds).split()
    size, digit = {"s": (1, 1), "min": (60, 60), "h": (3600, 360)}[unit]
    assert found == unit and abs(float(number) * size - seconds) <= digit / 2
