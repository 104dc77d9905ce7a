"""A worker's turn from order to order, when it stops, and what it tells; without any model."""

import os

import pytest
from ordering import HERE, an_order, deliver, new_ledger

from smalti.studio.orders import worker as workers
from smalti.studio.orders.attempt import NothingWritable
from smalti.studio.orders.display import Bars, Lines
from smalti.studio.orders.leases import Leases
from smalti.studio.orders.worker import DRAWING, Station, Told, Worker


class Pipe(list):
    """The end of a pipe that keeps what is sent."""

    send = list.append


@pytest.fixture
def worker(tmp_path, monkeypatch) -> Worker:
    ledger = new_ledger(tmp_path)
    for number in range(3):
        ledger.receive(an_order(f"A-{number}", priority=9 - number), HERE)
    monkeypatch.setattr(workers, "TOLD_EVERY", 0.0)
    monkeypatch.setattr(workers, "POLL", 0.01)
    found = Worker(Station(tmp_path), Pipe())
    found.pipe = found._pipe
    return found


def by(monkeypatch, work) -> None:
    """Have each order worked on by some function."""
    monkeypatch.setattr(workers, "attempt", work)


def test_all_orders_by_priority_and_then_home(worker, monkeypatch, tmp_path):
    by(monkeypatch, lambda desk, entry: deliver(desk.leases, desk.worker, entry.reference))
    worker.run()
    ended = [told.reference for told in worker.pipe if told.what == "ended"]
    assert ended == ["A-2", "A-1", "A-0"]
    assert new_ledger(tmp_path).counts() == {"delivered": 3}


def test_stopped_it_finishes_the_present_tile_only(worker, monkeypatch, tmp_path):
    tiles, calls = [], []

    def draw(desk, entry):
        folder = entry.work / "mosaic" / "tiles"
        folder.mkdir(parents=True)
        try:
            for number in range(20):
                calls.append(number)
                desk.report(number, 20, DRAWING)
                if number % 4 == 3:  # four steps make a tile
                    tiles.append(folder / f"{number}.png")
                    tiles[-1].touch()
                if number == 5:
                    worker.stop()
        except KeyboardInterrupt:
            desk.leases.give_back(entry, desk.worker)
            raise

    by(monkeypatch, draw)
    with pytest.raises(KeyboardInterrupt):
        worker.run()
    assert [path.stem for path in tiles] == ["3", "7"] and calls[-1] == 8
    assert new_ledger(tmp_path).counts() == {"received": 3}


@pytest.mark.parametrize(
    ("shown", "gpu", "chosen"), [("", 1, "1"), ("2,3", 1, "3"), ("GPU-a,GPU-b", 0, "GPU-a")]
)
def test_each_worker_sees_its_own_gpu_of_those_that_are_shown(monkeypatch, shown, gpu, chosen):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", shown)
    workers._choose_processor(Station(None, gpu=gpu))
    assert os.environ["CUDA_VISIBLE_DEVICES"] == chosen


def test_workers_share_the_cores_unless_the_user_said_otherwise(monkeypatch):
    monkeypatch.setattr(workers.os, "cpu_count", lambda: 8)
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    workers._choose_processor(Station(None, workers=3))
    assert os.environ["OMP_NUM_THREADS"] == "2"
    workers._choose_processor(Station(None, workers=2))
    assert os.environ["OMP_NUM_THREADS"] == "2", "given already"


@pytest.mark.parametrize("note", ["proof", "loading the base model"])
def test_between_tiles_it_stops_at_once(worker, note):
    worker.stop()
    with pytest.raises(KeyboardInterrupt):
        worker.report(0, 1, note)


def test_where_nothing_can_be_written_it_says_so_and_goes_home(worker, monkeypatch):
    def full(desk, entry):
        raise NothingWritable("the disk of X is full")

    by(monkeypatch, full)
    worker.run()
    assert worker.pipe[-1] == Told("stuck", note="the disk of X is full")


def test_it_waits_for_what_others_have(worker, monkeypatch, tmp_path):
    """An order in living hands may come back; nobody goes home before."""
    leases = Leases(new_ledger(tmp_path))
    other = leases.lease("other")
    seen = []

    def work(desk, entry):
        seen.append(entry.reference)
        deliver(desk.leases, desk.worker, entry.reference)
        if len(seen) == 2:
            leases.give_back(other, "other")

    by(monkeypatch, work)
    worker.run()
    assert seen == ["A-1", "A-0", "A-2"]


def test_lines_and_bars_show_what_ended_and_why(tmp_path, capsys):
    from rich.console import Console
    from rich.progress import Progress

    leases = Leases(new_ledger(tmp_path))
    for reference in ("good", "bad"):
        leases.ledger.receive(an_order(reference), HERE)
        leases.lease("w")
    deliver(leases, "w", "good")
    leases.fail(leases.ledger.entry("bad"), "w", "no such mug")
    told = Told("ended", "bad", "failed")
    Lines(leases.ledger).hear(0, told)
    said = capsys.readouterr().err
    assert all(word in said for word in ("2/2", "1 failed", "no such mug"))

    console = Console(file=(tmp_path / "out").open("w"), force_terminal=True)
    bars = Bars(leases.ledger, Progress(console=console, disable=True))
    bars.hear(1, Told("at", "good", DRAWING, 3, 12))
    bars.update()
    everything, worker = bars._progress.tasks
    assert (everything.completed, everything.total) == (2, 2)
    assert (worker.completed, worker.total) == (3, 12) and DRAWING in worker.fields["text"]
    assert "2" in worker.description, "people count from one"
