"""The ledger: what comes in, what people decide, what it remembers, and that it survives."""

import multiprocessing
import os
import signal
import sqlite3
import time
from datetime import date, datetime
from itertools import count, product
from pathlib import Path

import pytest
from ordering import HERE, an_order, deliver, new_ledger
from refusals import refused

from smalti.configs.errors import SmaltiError
from smalti.studio.orders.accept import accept
from smalti.studio.orders.audit import check_orders
from smalti.studio.orders.leases import Leases
from smalti.studio.orders.ledger import Ledger
from smalti.studio.orders.reading import Read
from smalti.studio.orders.states import CLOSED, OPEN, STATES, is_behind, may_follow
from smalti.studio.orders.terms import Terms
from smalti.studio.orders.ticket import BadTicket


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    return new_ledger(tmp_path)


def test_the_same_told_twice_is_one_order(ledger):
    assert ledger.receive(an_order(), HERE) == "new"
    assert ledger.receive(an_order(), Path("elsewhere")) == "same"
    (entry,) = ledger.entries()
    assert entry.order == an_order() and entry.folder == Path("elsewhere")
    assert [event.now for event in ledger.events()] == ["received"]


def test_another_content_is_refused_unless_it_is_to_replace(ledger):
    ledger.receive(an_order(), HERE)
    with refused("A-1", "--replace"):
        ledger.receive(an_order(seed=2), HERE)
    assert ledger.entry("A-1").order == an_order()
    assert ledger.receive(an_order(seed=2), HERE, replace=True) == "new"
    assert ledger.entry("A-1").order == an_order(seed=2)


def test_what_a_worker_has_is_not_replaced(ledger):
    ledger.receive(an_order(), HERE)
    Leases(ledger).lease("w")
    with refused("A-1", "cancel"):
        ledger.receive(an_order(seed=2), HERE, replace=True)


def test_other_terms_are_a_reason_to_replace_only_when_asked(ledger):
    ledger.receive(an_order(), HERE, terms=Terms(preset="draft"))
    assert ledger.receive(an_order(), HERE, terms=Terms(preset="fine")) == "same"
    assert ledger.entry("A-1").terms.preset == "draft"
    other = Terms(preset="fine")
    assert ledger.receive(an_order(), HERE, terms=other, replace=True) == "new"
    assert ledger.entry("A-1").terms == other


def test_a_refused_ticket_is_a_failed_order_until_it_is_mended(ledger):
    for _ in range(2):
        assert ledger.refuse("A-1", ["no picture", "no tiles"], HERE) == "A-1"
    entry = ledger.entry("A-1")
    assert (entry.state, entry.order) == ("failed", None)
    assert "no picture" in entry.reason and "no tiles" in entry.reason
    assert len(ledger.events()) == 2, "received and failed, once"
    with refused("A-1", "no tiles"):
        ledger.retry("A-1")
    assert ledger.receive(an_order(), HERE) == "new"
    assert ledger.entry("A-1").state == "received"


def test_a_bad_ticket_never_takes_a_good_ones_place(ledger):
    ledger.receive(an_order(), HERE)
    other = {ledger.refuse("A-1", ["bad"], HERE) for _ in range(2)}
    other |= {ledger.refuse("", ["bad"], HERE)}
    assert len(other) == 2 and "A-1" not in other
    assert ledger.entry("A-1").state == "received"
    assert ledger.counts() == {"received": 1, "failed": 2}


def test_accepting_sorts_new_known_and_bad(ledger):
    ledger.receive(an_order("old"), HERE)
    told = [an_order("new"), an_order("old"), an_order("old", seed=3), BadTicket("bad", ["x", "y"])]
    found = accept(ledger, [Read(order, HERE) for order in told], Terms())
    assert found.new == ["new"] and found.same == ["old"]
    assert found.refused.pop("bad") == ["x", "y"]
    ((name, faults),) = found.refused.items()
    assert name.startswith("old~") and "--replace" in faults[0]


def test_an_unknown_reference_names_the_nearest(ledger):
    ledger.receive(an_order("A-1001"), HERE)
    with refused("A-1O01", "A-1001"):
        ledger.entry("A-1O01")


def test_entries_of_some_states_and_of_a_day(ledger):
    then = datetime(2026, 3, 1, 12).timestamp()
    ledger.receive(an_order("a"), HERE, now=then)
    ledger.receive(an_order("b"), HERE)
    ledger.cancel("b", "by phone")
    assert [e.reference for e in ledger.entries(["cancelled"])] == ["b"]
    assert ledger.entry("b").reason == "by phone"
    assert [e.reference for e in ledger.entries(day=date(2026, 3, 1))] == ["a"]


@pytest.mark.parametrize("taken", ["A-1", "a-1", "A/1", "A:1"])
def test_no_two_orders_share_a_folder_on_any_file_system(ledger, taken):
    ledger.receive(an_order("A-1"), HERE)
    ledger.receive(an_order(taken), HERE)
    names = [entry.name.casefold() for entry in ledger.entries()]
    assert len(set(names)) == len(names)


def test_what_people_decide_fits_the_state(ledger):
    ledger.receive(an_order(), HERE, terms=Terms(proof_first=True))
    leases = Leases(ledger)
    for action in (ledger.retry, ledger.approve):
        with refused("A-1", "received"):
            action("A-1")
    entry = leases.lease("w")
    leases.enter(entry, "w", "checked")
    leases.enter(entry, "w", "drawing")
    leases.hold(entry, "w")
    assert leases.lease("w") is None and not leases.has_work()
    ledger.approve("A-1")
    assert leases.lease("w").approved
    deliver(leases, "w", "A-1")
    for action in (ledger.retry, ledger.approve, ledger.cancel):
        with refused("A-1", "delivered"):
            action("A-1")


def test_the_table_of_states_by_brute_force():
    """Work only goes on, from receipt to delivery; open orders may end, any may begin anew."""
    for now, then in product(STATES, STATES):
        if now in CLOSED:
            assert may_follow(now, then) == (then == "received")
        if then in ("failed", "cancelled") and now in OPEN:
            assert may_follow(now, then)
        if may_follow(now, then) and {now, then} <= {*OPEN, "delivered"} and then != "received":
            assert STATES.index(now) < STATES.index(then)
        if now in OPEN and then in OPEN:
            assert not (is_behind(now, then) and may_follow(now, then) and then != "received")
    reached, seen = ["received"], {"received"}
    for state in reached:
        more = [then for then in STATES if may_follow(state, then) and then not in seen]
        reached += more
        seen.update(more)
    assert seen == set(STATES)


def test_a_file_that_is_no_ledger_is_refused(tmp_path):
    (tmp_path / "ledger.sqlite").write_text("these are my accounts, not yours to overwrite")
    with refused("ledger.sqlite"):
        new_ledger(tmp_path)
    db = sqlite3.connect(tmp_path / "other.sqlite")
    db.execute("PRAGMA user_version=99")
    db.close()
    with refused("other.sqlite", "99"):
        Ledger(tmp_path / "other.sqlite")


def test_a_ledger_that_cannot_be_opened_is_a_failed_run_not_a_users_mistake(tmp_path):
    (tmp_path / "ledger.sqlite").mkdir()  # SQLite says the same of a disk without room for its log
    with refused("ledger.sqlite", kind=SmaltiError):
        new_ledger(tmp_path)


def test_a_full_disk_changes_nothing(ledger):
    ledger.receive(an_order(), HERE)
    pages = ledger.rows("PRAGMA page_count")[0][0]
    ledger.rows(f"PRAGMA max_page_count={pages}")
    with refused("ledger.sqlite", kind=SmaltiError):
        for number in count():
            ledger.receive(an_order(f"B-{number}", notes="x" * 2000), HERE)
    ledger.rows("PRAGMA max_page_count=1000000")
    assert check_orders(ledger) == []
    assert ledger.receive(an_order("C"), HERE) == "new"


def write_without_end(folder: Path) -> None:
    """Receive, take and deliver orders until killed."""
    leases = Leases(new_ledger(folder))
    for number in count():
        reference = f"{os.getpid()}-{number}"
        leases.ledger.receive(an_order(reference), HERE)
        leases.lease(str(os.getpid()))
        deliver(leases, str(os.getpid()), reference)


def test_killed_in_the_middle_of_a_write_it_stays_whole(tmp_path):
    """Two writers, killed at some moment, again and again."""
    context = multiprocessing.get_context("fork")
    for wait in (0.05, 0.11, 0.17):
        writers = [context.Process(target=write_without_end, args=(tmp_path,)) for _ in range(2)]
        for writer in writers:
            writer.start()
        time.sleep(wait)
        for writer in writers:
            os.kill(writer.pid, signal.SIGKILL)
            writer.join()
    ledger = new_ledger(tmp_path)
    told = [fault for fault in check_orders(ledger) if "missing" not in fault]
    assert [fault for fault in told if "does not live" not in fault] == []
    assert ledger.entries(), "something was written"
