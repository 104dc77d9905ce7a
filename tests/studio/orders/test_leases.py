"""Leases: which order a worker gets, and that nobody's word counts twice."""

import multiprocessing
import time
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from ordering import FILES, HERE, an_order, deliver, new_ledger

from smalti.configs.errors import InputError
from smalti.studio.orders.audit import check_orders
from smalti.studio.orders.leases import MAX_ATTEMPTS, LeaseLost, Leases
from smalti.studio.orders.ledger import LEASE
from smalti.studio.orders.names import is_dead, worker_name
from smalti.studio.orders.terms import Terms, kin_of


@pytest.fixture
def leases(tmp_path: Path) -> Leases:
    return Leases(new_ledger(tmp_path))


def test_by_priority_due_date_kin_and_receipt(leases):
    told = [
        ("late", {"due": "2026-12-24"}), ("plain", {}), ("kin", {"tile_concepts": ("mug",)}),
        ("soon", {"due": "2026-12-01"}), ("first", {"priority": 0}), ("last", {"priority": 9}),
    ]  # fmt: skip
    for reference, fields in told:
        leases.ledger.receive(an_order(reference, **fields), HERE)
    kin = kin_of(an_order(tile_concepts=("mug",)), Terms())
    given = [leases.lease("w", kin=kin).reference for _ in told]
    assert given == ["first", "soon", "late", "kin", "plain", "last"]
    assert leases.lease("w") is None and leases.has_work()


def test_an_expired_lease_is_anybodys_and_the_first_workers_word_counts_no_more(leases):
    leases.ledger.receive(an_order(), HERE, now=0.0)
    entry = leases.lease("one", 100.0)
    assert leases.lease("two", 100.0 + LEASE) is None
    leases.beat("one", 150.0)
    assert leases.lease("two", 150.0 + LEASE) is None
    assert leases.lease("two", 151.0 + LEASE).attempts == 1
    for word in (
        lambda: leases.enter(entry, "one", "checked"),
        lambda: leases.fail(entry, "one", "x"),
        lambda: leases.hold(entry, "one"),
        lambda: leases.reserve(entry, "one", "x"),
        lambda: leases.put_off(entry, "one", "x"),
        lambda: leases.deliver(entry, "one", FILES, lambda: pytest.fail("published")),
    ):
        with pytest.raises(LeaseLost):
            word()
    leases.give_back(entry, "one")
    assert leases.ledger.entry("A-1").worker == "two"


def test_an_order_that_kills_its_workers_fails_in_the_end(leases):
    leases.ledger.receive(an_order(), HERE)
    for number in range(MAX_ATTEMPTS):
        assert leases.lease(f"w{number}") is not None
        assert leases.bury(lambda worker, name=f"w{number}": worker == name) == ["A-1"]
    entry = leases.ledger.entry("A-1")
    assert entry.state == "failed" and str(MAX_ATTEMPTS) in entry.reason
    leases.ledger.retry("A-1")
    assert leases.lease("w").attempts == 0


def test_what_found_no_memory_rests_and_fails_in_the_end(leases):
    leases.ledger.receive(an_order(), HERE, now=0.0)
    now = 10.0
    for number in range(1, MAX_ATTEMPTS):
        entry = leases.lease("w", now)
        assert not leases.put_off(entry, "w", "out of memory", now)
        assert leases.lease("w", now + 1) is None and leases.has_work()
        assert leases.ledger.entry("A-1").attempts == number
        now += 1000
    assert leases.put_off(leases.lease("w", now), "w", "out of memory", now)
    assert "memory" in leases.ledger.entry("A-1").reason


def test_cancelling_takes_the_order_from_its_worker(leases):
    leases.ledger.receive(an_order(), HERE)
    entry = leases.lease("w")
    leases.ledger.cancel("A-1")
    with pytest.raises(LeaseLost):
        leases.enter(entry, "w", "checked")
    assert leases.ledger.entry("A-1").state == "cancelled"


def test_two_orders_get_two_places(leases):
    for reference in ("a", "b"):
        leases.ledger.receive(an_order(reference), HERE)
    places = [leases.reserve(leases.lease("w"), "w", name) for name in ("x/Kundin", "x/KUNDIN")]
    assert len({str(place).casefold() for place in places}) == 2
    assert leases.reserve(leases.ledger.entry("a"), "w", "other") == places[0], "kept"


def test_what_it_took_is_added_up(leases):
    leases.ledger.receive(an_order(), HERE)
    entry = leases.lease("w")
    leases.record(entry, {"drawing": 2.0}, "cpu")
    leases.record(entry, {"drawing": 1.5, "printing": 1.0}, "cpu", 30.0)
    leases.record(entry, {}, joules=12.0)
    found = leases.ledger.entry("A-1")
    assert found.took == {"drawing": 3.5, "printing": 1.0}
    assert (found.joules, found.device) == (42.0, "cpu")


def take_all(folder: Path, worker: str) -> None:
    leases = Leases(new_ledger(folder))
    while leases.has_work():
        if entry := leases.lease(worker):
            deliver(leases, worker, entry.reference)


def test_two_processes_share_the_orders(tmp_path):
    ledger = new_ledger(tmp_path)
    references = [f"A-{number}" for number in range(30)]
    for reference in references:
        ledger.receive(an_order(reference), HERE)
    ledger.close()
    context = multiprocessing.get_context("fork")
    workers = [context.Process(target=take_all, args=(tmp_path, name)) for name in "ab"]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(60)
        assert worker.exitcode == 0
    events = new_ledger(tmp_path).events()
    assert sorted(e.reference for e in events if e.now == "delivered") == sorted(references)


def test_the_living_and_the_dead_are_told_apart():
    context = multiprocessing.get_context("fork")
    receiver, sender = context.Pipe()
    process = context.Process(target=lambda: (sender.send(worker_name()), time.sleep(60)))
    process.start()
    name = receiver.recv()
    assert not is_dead(name) and not is_dead(worker_name())
    process.kill()
    process.join()
    assert is_dead(name)
    host, number, began = worker_name().rsplit(":", 2)
    assert is_dead(f"{host}:{number}:{float(began) - 1000:.0f}"), "a number that came again"
    assert not is_dead(f"another-machine:{2**22 + 1}:0")


class Day(RuleBasedStateMachine):
    """A day of two workers and a person, in any order, against a plain model of who has what."""

    folder: Path

    def __init__(self):
        super().__init__()
        self.count = getattr(Day, "days", 0)
        Day.days = self.count + 1
        self.leases = Leases(new_ledger(Day.folder / str(self.count)))
        self.now, self.held, self.beats = 1000.0, {}, {}
        self.orders, self.rests = {}, {}

    def teardown(self):
        self.leases.ledger.close()

    @rule(reference=st.sampled_from("abcd"), priority=st.integers(0, 2), proof=st.booleans())
    def receive(self, reference, priority, proof):
        order = an_order(reference, priority=priority)
        try:
            self.leases.ledger.receive(order, HERE, terms=Terms(proof_first=proof), now=self.now)
        except InputError:
            assert reference in self.orders

        self.orders[reference] = self.leases.ledger.entry(reference).order

    @rule(worker=st.sampled_from("xy"))
    def take(self, worker):
        free = {r for r in self.orders if self._is_free(r)}
        entry = self.leases.lease(worker, self.now)
        if entry is None:
            assert not {r for r in free if self._state(r) != "failed"}
            return
        assert entry.reference in free
        assert entry.order.priority == min(
            self.orders[r].priority for r in free if self._state(r) != "failed"
        )
        self.held[entry.reference], self.beats[worker] = worker, self.now
        self.leases.beat(worker, self.now)

    def _state(self, reference):
        return self.leases.ledger.entry(reference).state

    def _is_free(self, reference):
        entry = self.leases.ledger.entry(reference)
        if entry.state in ("delivered", "failed", "cancelled"):
            return False
        if entry.state == "proof" and entry.terms.proof_first:
            return False
        holder = self.held.get(reference)
        alive = holder is not None and self.beats[holder] >= self.now - LEASE
        return not alive and self.rests.get(reference, 0) <= self.now

    @rule(seconds=st.sampled_from([1.0, 30.0, LEASE + 1]), worker=st.sampled_from("xyz"))
    def pass_time(self, seconds, worker):
        self.now += seconds
        self.leases.beat(worker, self.now)
        self.beats[worker] = self.now

    @precondition(lambda self: self.held)
    @rule(data=st.data(), what=st.sampled_from(["on", "fail", "back", "off", "hold", "deliver"]))
    def act(self, data, what):
        reference = data.draw(st.sampled_from(sorted(self.held)))
        worker = self.held[reference]
        entry = self.leases.ledger.entry(reference)
        if entry.worker != worker:
            with pytest.raises(LeaseLost):
                self.leases.enter(entry, worker, "checked")
            del self.held[reference]
            return
        order = ["checked", "drawing", "proof", "printing"]
        if what == "on":
            for state in order[: data.draw(st.integers(1, 2))]:
                self.leases.enter(entry, worker, state)
            return
        if what == "fail":
            self.leases.fail(entry, worker, "broken")
        elif what == "back":
            self.leases.give_back(entry, worker, 5.0, self.now)
            self.rests[reference] = self.now + 5.0
        elif what == "off":
            self.leases.put_off(entry, worker, "full", self.now)
            self.rests[reference] = self.now + 10.0 * (entry.attempts + 1)
        elif what == "hold":
            for state in order[:2]:
                self.leases.enter(entry, worker, state)
            self.leases.hold(entry, worker)
        else:
            deliver(self.leases, worker, reference)
        del self.held[reference]

    @rule(reference=st.sampled_from("abcd"), what=st.sampled_from(["cancel", "retry", "approve"]))
    def decide(self, reference, what):
        try:
            getattr(self.leases.ledger, what)(reference)
        except InputError:
            return
        self.held.pop(reference, None)
        if what == "retry":
            self.rests.pop(reference, None)

    @invariant()
    def the_ledger_is_sound(self):
        words = ("missing", "does not live")
        faults = check_orders(self.leases.ledger)
        assert [f for f in faults if not any(word in f for word in words)] == []


def test_any_day_at_all(tmp_path):
    Day.folder = tmp_path
    run = Day.TestCase()
    run.settings = settings(
        max_examples=12, stateful_step_count=25, deadline=None,
        suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    run.runTest()
