"""A cluster's ledger and its workers, whose questions are answered here without any cluster."""

import os
import threading

import pytest
from ordering import HERE, an_order, deliver, new_ledger

from smalti.configs.errors import SmaltiError
from smalti.studio.orders import hand as hands
from smalti.studio.orders import owner as owners
from smalti.studio.orders import worker as workers
from smalti.studio.orders.hand import FarWorker, Post, Said
from smalti.studio.orders.leases import LeaseLost
from smalti.studio.orders.owner import GONE, KEEP, FarLeases, Owner
from smalti.studio.orders.worker import Station


class Clock:
    """Stands for `time` where seconds pass as the test says."""

    def __init__(self):
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch) -> Clock:
    found = Clock()
    monkeypatch.setattr(owners, "time", found)
    return found


@pytest.fixture
def owner(tmp_path, clock) -> Owner:
    ledger = new_ledger(tmp_path)
    for number in range(3):
        ledger.receive(an_order(f"A-{number}"), HERE)
    return Owner(tmp_path)


def arrive(owner: Owner, place: int, name: str) -> FarLeases:
    owner.arrive(place, name, "host")
    return FarLeases(owner.ask)


def test_who_takes_a_dead_workers_place_sets_its_order_free_at_once(owner):
    leases = arrive(owner, 0, "first")
    entry = leases.lease("first")
    arrive(owner, 0, "second")
    arrive(owner, 0, "second")  # asked twice
    assert [told.what for _, told in owner.words(0)] == ["began", "arrived", "began"]
    assert leases.entry(entry.reference).worker is None
    with pytest.raises(LeaseLost):
        leases.enter(entry, "first", "checked")
    again = leases.lease("second")
    assert (again.reference, again.attempts) == (entry.reference, 1)
    owner.beat("first")
    assert not owner._lives("first"), "the dead do not come back"


def test_a_worker_that_is_not_heard_loses_its_order_and_one_that_is_does_not(owner, clock):
    leases = arrive(owner, 0, "quiet")
    arrive(owner, 1, "loud")
    lost, kept = leases.lease("quiet"), leases.lease("loud")
    clock.now += GONE - 1
    owner.beat("loud")
    assert leases.entry(lost.reference).worker == "quiet"
    clock.now += KEEP + 1
    owner.beat("loud")
    assert leases.entry(lost.reference).worker is None
    assert leases.entry(kept.reference).worker == "loud"


def test_heartbeats_are_noted_in_the_ledger(owner, clock, monkeypatch, tmp_path):
    leases = arrive(owner, 0, "w")
    entry = leases.lease("w", now=5.0)
    assert entry.heartbeat == 5.0
    clock.now += KEEP + 1
    owner.words(0)
    assert new_ledger(tmp_path).entry(entry.reference).heartbeat > 5.0


def test_a_question_that_is_asked_twice_changes_nothing_more(owner):
    leases = arrive(owner, 0, "w")
    entry = leases.lease("w")
    assert leases.lease("w").reference == entry.reference
    for _ in range(2):
        leases.enter(entry, "w", "checked")
        leases.enter(entry, "w", "drawing")
        leases.enter(entry, "w", "proof")
        leases.enter(entry, "w", "printing")
        place = leases.reserve(entry, "w", "A")
    published = []
    leases.deliver(entry, "w", {}, lambda: published.append(place))
    with pytest.raises(LeaseLost):
        leases.deliver(entry, "w", {}, lambda: published.append(place))
    assert len(published) == 1 and leases.entry(entry.reference).state == "delivered"


def test_workers_outlive_their_owner(owner, clock, tmp_path):
    leases = arrive(owner, 0, "w")
    entry = leases.lease("w")
    second = Owner(tmp_path)  # another process in its place, which knows nobody
    second.beat("w")
    clock.now += GONE - 1
    second.beat("w")
    clock.now += KEEP + 1
    assert FarLeases(second.ask).entry(entry.reference).worker == "w"


def test_nothing_else_of_the_ledger_can_be_asked(owner):
    with pytest.raises(AttributeError):
        owner.ask("bury", lambda worker: True)
    with pytest.raises(AttributeError):
        FarLeases(owner.ask).ledger  # noqa: B018


@pytest.fixture
def worker(owner, tmp_path, monkeypatch) -> FarWorker:
    monkeypatch.setattr(hands, "IDLE", 0.01)
    post = Post(Station(tmp_path), number=1, folder=tmp_path, threads=1, split=4)

    def ask(method, *given, within=None, **named):
        return getattr(owner, method)(*given, **named)

    return FarWorker(post, ask, ask)


def test_a_far_worker_does_what_a_near_one_does(owner, worker, monkeypatch, tmp_path):
    monkeypatch.setattr(
        workers, "attempt", lambda desk, entry: deliver(desk.leases, desk.worker, entry.reference)
    )
    worker.run()
    assert new_ledger(tmp_path).counts() == {"delivered": 3}
    told = owner.words(0)
    assert [t.reference for place, t in told if t.what == "ended"] == ["A-0", "A-1", "A-2"]
    assert {place for place, _ in told} == {1}


def test_two_may_have_a_folder_without_locks_as_leases_decide(worker, owner):
    entry = arrive(owner, 0, "w").lease("w")
    with worker.desk().own(entry) as folder, worker.desk().own(entry):
        assert folder.is_dir()


class Ended(BaseException):
    """Stands for the end of the process."""


def test_unanswered_it_ends_itself_before_its_order_is_anybodys(worker, monkeypatch):
    clock, asked = Clock(), []

    def silent(method, *given, within):
        asked.append(within)
        clock.now += within
        raise TimeoutError

    def end(code):
        raise Ended

    clock.sleep = lambda seconds: None
    monkeypatch.setattr(hands, "time", clock)
    monkeypatch.setattr(os, "_exit", end)
    monkeypatch.setattr(worker, "_ask", silent)
    began = clock.now
    with pytest.raises(Ended):
        worker._beat()
    assert asked and clock.now - began < GONE


def test_it_hears_that_it_is_to_stop(worker, owner, monkeypatch):
    owner.arrive(1, worker._name, "host")
    owner.words(1)
    heard = threading.Event()
    monkeypatch.setattr(worker, "stop", heard.set)

    def sleep(seconds):
        raise Ended

    monkeypatch.setattr(hands.time, "sleep", sleep)
    with pytest.raises(Ended):
        worker._beat()
    assert heard.is_set()


def test_whole_lines_are_passed_on_and_bars_are_not():
    told = []
    line = hands.Line(lambda number, word: told.append((number, word.note)), 3)
    said = Said(line)
    for text in ("photos: x", ".png is left out\nhalf", "\rhalf a bar\n", "\n"):
        print(text, end="", file=said)
    assert told == [(3, "photos: x.png is left out")]


def test_a_machine_with_another_folder_says_who_it_is(tmp_path, monkeypatch):
    monkeypatch.setattr(hands, "SLOW", 0.3)
    post = Post(Station(tmp_path), number=0, folder=tmp_path, threads=1, split=4)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.chdir(tmp_path)
    hand = hands.Hand(post)
    (tmp_path / "token").write_text("ours")
    hand.sees(tmp_path / "token", "ours")
    assert (tmp_path / "token.0").read_text() == "ours"
    with pytest.raises(SmaltiError, match=hands.socket.gethostname()):
        hand.sees(tmp_path / "token", "theirs")


def test_the_places_whose_workers_live(owner, clock):
    arrive(owner, 0, "quiet")
    arrive(owner, 1, "loud")
    clock.now += owners.FENCE + 1
    owner.beat("loud")
    assert owner.living() == {1}
