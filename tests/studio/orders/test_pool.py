"""The pool: workers that die, that can write nothing, that are told to stop; without any model."""

import multiprocessing
import os
import signal
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest
from ordering import HERE, an_order, deliver, new_ledger
from refusals import refused

from smalti.configs.errors import SmaltiError
from smalti.studio.orders import pool
from smalti.studio.orders.energy import Meter
from smalti.studio.orders.leases import Leases
from smalti.studio.orders.names import worker_name
from smalti.studio.orders.worker import Told


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Run a pool of some function over six orders."""
    monkeypatch.setattr(pool, "get_context", lambda kind: multiprocessing.get_context("fork"))
    monkeypatch.setattr(pool, "BACKOFF", 0.01)
    monkeypatch.setattr(pool, "TICK", 0.02)
    ledger = new_ledger(tmp_path)
    for number in range(6):
        ledger.receive(an_order(f"A-{number}"), HERE)

    def start(serve, **options):
        monkeypatch.setattr(pool, "serve", serve)
        return pool.run_pool(tmp_path, **options)

    return start


def serve_all(station, pipe, die_at: int = -1) -> None:
    leases, name = Leases(new_ledger(station.root)), worker_name()
    while entry := leases.lease(name):
        pipe.send(Told("began", entry.reference, entry.state))
        mark = station.root / "died"
        if int(entry.reference[-1]) == die_at and not mark.exists():
            mark.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        deliver(leases, name, entry.reference)
        pipe.send(Told("ended", entry.reference, "delivered"))


def test_what_a_dead_worker_had_is_done_by_the_next(run, tmp_path):
    assert run(lambda *given: serve_all(*given, die_at=2), workers=1) == {"delivered": 6}
    (entry,) = [e for e in new_ledger(tmp_path).entries() if e.attempts]
    assert entry.reference == "A-2" and (tmp_path / "died").exists()


def test_several_workers_share(run):
    assert run(serve_all, workers=3) == {"delivered": 6}


def test_workers_that_always_die_end_the_run(run, capfd):
    with refused("7", kind=SmaltiError):
        run(lambda station, pipe: os._exit(7), workers=2)


def test_one_place_that_is_broken_is_left_to_the_others(run):
    def serve(station, pipe):
        if station.gpu == 0:
            os._exit(7)
        while not (station.root / "go").exists():  # until the other one is given up
            time.sleep(0.02)
        serve_all(station, pipe)

    deaths = []

    def tick():
        deaths.append(1)
        if len(deaths) == 40:
            (stations[0].root / "go").touch()

    stations = []
    real = pool.stations

    def two(root, workers, endless):
        stations.extend(replace(s, gpu=n) for n, s in enumerate(real(root, workers, endless)))
        return stations

    pool_stations = pytest.MonkeyPatch()
    pool_stations.setattr(pool, "stations", two)
    try:
        assert run(serve, workers=2, tick=tick) == {"delivered": 6}
    finally:
        pool_stations.undo()


def test_a_place_that_is_given_up_when_all_is_done_spoils_nothing(run, monkeypatch):
    """The last of its deaths comes after the other has gone home."""
    real = pool.stations
    monkeypatch.setattr(
        pool,
        "stations",
        lambda *given: [replace(s, gpu=n) for n, s in enumerate(real(*given))],
    )

    def serve(station, pipe):
        if station.gpu == 1:
            return serve_all(station, pipe)
        while new_ledger(station.root).counts() != {"delivered": 6}:
            time.sleep(0.02)
        os._exit(7)

    assert run(serve, workers=2) == {"delivered": 6}


def test_a_worker_that_can_write_nothing_stops_the_run(run):
    def stuck(station, pipe):
        pipe.send(Told("stuck", note="the disk of X is full"))

    with refused("disk of X", kind=SmaltiError):
        run(stuck, workers=2)


@pytest.mark.parametrize("signals", [1, 2])
def test_ctrl_c_stops_and_a_second_one_at_once(run, signals):
    def patient(station, pipe):
        if signals == 1:
            signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
        else:
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
        time.sleep(60)

    def press():
        for _ in range(signals):
            time.sleep(0.4)
            os.kill(os.getpid(), signal.SIGINT)

    before = signal.getsignal(signal.SIGINT)
    threading.Thread(target=press).start()
    began = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        run(patient, workers=2)
    assert time.monotonic() - began < 30 and signal.getsignal(signal.SIGINT) is before


def test_an_endless_pool_looks_for_more_until_it_is_stopped(run, tmp_path):
    seen = []

    def tick():
        seen.append(1)
        if len(seen) == 5:
            os.kill(os.getpid(), signal.SIGTERM)

    def wait(station, pipe):
        assert station.endless
        signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
        time.sleep(60)

    with pytest.raises(KeyboardInterrupt):
        run(wait, endless=True, tick=tick)
    assert len(seen) == 5


def test_an_error_of_the_one_who_looks_leaves_no_worker(run):
    def broken():
        raise ZeroDivisionError

    others = multiprocessing.active_children()
    with pytest.raises(ZeroDivisionError):
        run(lambda station, pipe: time.sleep(60), workers=2, tick=broken)
    assert set(multiprocessing.active_children()) <= set(others)


def test_the_processors_counter_wraps_and_is_shared(tmp_path):
    folder = tmp_path / "intel-rapl:0"
    folder.mkdir()
    (folder / "max_energy_range_uj").write_text("1000000")
    counter = folder / "energy_uj"
    counter.write_text("900000")
    meter = Meter(share=2, rapl=tmp_path)
    counter.write_text("300000")
    assert meter.since() == pytest.approx(0.4 / 2)
    assert meter.since() == 0
    counter.unlink()
    assert meter.since() is None and Meter(rapl=tmp_path / "none").since() is None
