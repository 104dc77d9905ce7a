"""A first part of the fuzz: what is odd is read or refused, and nothing is lost."""

import signal

import pytest


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(signal, "SIGALRM"), reason="POSIX alarms")
def test_100_odd_cases_are_read_or_refused() -> None:
    from fuzz import SECONDS, SHARES, fuzz

    tallies = fuzz(100, 0)
    assert tallies.keys() == {kind.__name__ for kind in SHARES}
    ends = {end: sum(t.ends[end] for t in tallies.values()) for end in ("ok", "refused")}
    assert sum(ends.values()) >= 90 and min(ends.values()) > 10
    assert all(tally.slowest < SECONDS for tally in tallies.values())
