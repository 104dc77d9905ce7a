"""The day that the benchmark of orders makes: as many bad orders as it says, and of ten kinds."""

from collections import Counter

import order_chaos
import order_day
import orders
from ordering import HERE, an_order, deliver, new_ledger

from smalti.studio.orders.leases import Leases
from smalti.studio.orders.reading import read_orders
from smalti.studio.orders.ticket import BadTicket


def test_each_bad_order_is_bad_in_its_own_way(tmp_path):
    table = order_day.write_day(tmp_path, orders=24, bad=20, training=2)
    told = [read.told for read in read_orders(table, tmp_path)]
    bad = [ticket for ticket in told if isinstance(ticket, BadTicket)]
    assert (len(told), len(bad)) == (24, 20) and len(order_day.BAD) == 10
    assert sum(bool(order.photos) for order in told if order not in bad) == 2
    columns = ("reference ", "picture", "product", "concept", "copies", "due", "preset")
    seen = Counter(name for ticket in bad for name in columns if name in str(ticket))
    assert set(seen) == set(columns)


def test_what_is_lost_is_seen(tmp_path, capsys):
    leases = Leases(new_ledger(tmp_path))
    for reference in ("a", "b"):
        leases.ledger.receive(an_order(reference), HERE)
    leases.ledger.refuse("c", ["bad"], HERE)
    leases.lease("w")
    deliver(leases, "w", "a")
    found = orders.outcome(leases.ledger, good=2, bad=1)
    assert (found["delivered"], found["explained"]) == (1, 1)
    told = capsys.readouterr().err
    assert "1 delivered, not 2" in told and "print.tif" in told


def test_a_command_is_run_until_all_is_closed(tmp_path, monkeypatch):
    """Killed once, ended once with exit code 1 before all was done, then done."""
    run = order_chaos.Chaos([], tmp_path, None, [(0, "command")], orders=3)
    codes, closed, started = [-9, 1, 0], [0, 1, 3], []

    class Process:
        def __init__(self, command, start_new_session):
            started.append(command)

        def poll(self):
            return None

        def kill(self):
            pass

        def wait(self):
            return codes[len(started) - 1]

    monkeypatch.setattr(order_chaos.subprocess, "Popen", Process)
    monkeypatch.setattr(order_chaos.time, "sleep", lambda seconds: None)
    monkeypatch.setattr(run, "pick", order_chaos.random.Random(0))
    monkeypatch.setattr(run, "closed", lambda: closed[len(started) - 1])
    run.go()
    assert len(started) == 3 and run.happened == {"command": 1}
