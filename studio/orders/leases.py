"""Which worker has which order: leases that last as long as their heartbeats, and what is done.

Every word of a worker is heard only while it holds the order's lease, within one transaction. So a
worker that was stopped for an hour and wakes up cannot undo what another one did meanwhile.
"""

import json
import sqlite3
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from .entry import Entry, FileFacts, files_json
from .ledger import LEASE, Ledger, key_of
from .states import (
    APPROVED,
    CHECKED,
    DELIVERED,
    DRAWING,
    FAILED,
    OPEN,
    PRINTING,
    PROOF,
    RECEIVED,
    TRAINING,
    is_behind,
)

MAX_ATTEMPTS = 5
REST = 10.0  # seconds before an order is tried again that found no memory or disk
WORKABLE = (RECEIVED, CHECKED, TRAINING, DRAWING, PRINTING, PROOF, APPROVED)
# A proof that waits for a person is no work; nor is what rests, or is in living hands.
FREE = f"""
    state IN ({", ".join(f"'{state}'" for state in WORKABLE)})
    AND NOT (state = '{PROOF}' AND json_extract(terms, '$.proof_first'))
"""
NEXT = f"""
    SELECT reference, worker, attempts FROM orders WHERE {FREE}
    AND rests_until <= :now AND (worker IS NULL OR heartbeat < :now - {LEASE})
    ORDER BY priority, due IS NULL, due, kin <> :kin, number LIMIT 1
"""


class LeaseLost(Exception):
    """The order is not this worker's any more: cancelled, or given to another one."""


class Leases:
    """The workers' side of a ledger."""

    def __init__(self, ledger: Ledger) -> None:
        """Work with an open ledger, in its thread."""
        self.ledger = ledger

    def lease(self, worker: str, now: float | None = None, kin: str = "") -> Entry | None:
        """The next order for a worker, None where there is none now.

        By priority, due date, what shares base and adapters with what the worker has loaded
        (`kin`, see `terms.kin_of`), and receipt. An order whose worker's lease has expired counts
        as one more attempt, and fails with the last one that it has.
        """
        now = time.time() if now is None else now
        with self.ledger.change() as db:
            while row := next(iter(db.execute(NEXT, {"now": now, "kin": kin})), None):
                if row["worker"] is not None and self._died(row, now):
                    continue
                db.execute(
                    "UPDATE orders SET worker = ?, heartbeat = ? WHERE reference = ?",
                    (worker, now, row["reference"]),
                )
                return self.ledger.entry(row["reference"])
        return None

    def _died(self, row: sqlite3.Row, now: float) -> bool:
        """Count a worker's death; returns whether the order fails with it."""
        reference, attempts = row["reference"], row["attempts"] + 1
        self.ledger.tell(reference, f"{row['worker']} died", now, row["worker"])
        if attempts >= MAX_ATTEMPTS:
            why = f"{attempts} workers died while they worked on it"
            self.ledger.move(reference, FAILED, why=why, now=now)
            return True
        self._change(reference, worker=None, heartbeat=None, attempts=attempts)
        return False

    def _change(self, reference: str, **values: object) -> None:
        """Set columns of an order, within a transaction."""
        names = ", ".join(f"{name} = ?" for name in values)
        with_reference = (*values.values(), reference)
        self.ledger.rows(f"UPDATE orders SET {names} WHERE reference = ?", *with_reference)

    def entry(self, reference: str) -> Entry:
        """What is known of an order now."""
        return self.ledger.entry(reference)

    def has_work(self) -> bool:
        """Whether any order is still to be worked on, by whomever."""
        return bool(self.ledger.rows(f"SELECT 1 FROM orders WHERE {FREE} LIMIT 1"))

    def beat(self, worker: str, now: float | None = None) -> None:
        """Say that a worker lives."""
        now = time.time() if now is None else now
        self.ledger.rows("UPDATE orders SET heartbeat = ? WHERE worker = ?", now, worker)

    def holds(self, entry: Entry, worker: str) -> Entry:
        """The order as it is now; raises LeaseLost where it is not the worker's."""
        found = self.ledger.entry(entry.reference)
        if found.worker != worker:
            raise LeaseLost(f"{entry.reference} is {found.state}")
        return found

    def enter(self, entry: Entry, worker: str, state: str, why: str = "") -> None:
        """Bring an order into a state, unless it has reached it before; raises LeaseLost."""
        with self.ledger.change():
            if not is_behind(self.holds(entry, worker).state, state):
                self.ledger.move(entry.reference, state, why=why, worker=worker)

    def hold(self, entry: Entry, worker: str) -> None:
        """Let an order wait for a person's word on its proof, with no worker; raises LeaseLost."""
        with self.ledger.change():
            if not is_behind(self.holds(entry, worker).state, PROOF):
                self.ledger.move(entry.reference, PROOF, worker=worker)
            self._change(entry.reference, worker=None, heartbeat=None)

    def fail(self, entry: Entry, worker: str, why: str) -> None:
        """An order cannot be done; raises LeaseLost."""
        with self.ledger.change():
            self.holds(entry, worker)
            self.ledger.move(entry.reference, FAILED, why=why, worker=worker)

    def give_back(
        self, entry: Entry, worker: str, rest: float = 0.0, now: float | None = None
    ) -> None:
        """Leave an order to the next worker, where it stands; no word where it is another's.

        rest: seconds before anybody takes it up.
        """
        with self.ledger.change():
            if self.ledger.entry(entry.reference).worker == worker:
                self._change(entry.reference, worker=None, heartbeat=None,
                             rests_until=(time.time() if now is None else now) + rest)  # fmt: skip

    def put_off(self, entry: Entry, worker: str, why: str, now: float | None = None) -> bool:
        """Give an order back for want of memory or disk; returns whether it failed for good.

        Raises LeaseLost.
        """
        now = time.time() if now is None else now
        with self.ledger.change():
            attempts = self.holds(entry, worker).attempts + 1
            if attempts >= MAX_ATTEMPTS:
                why = f"{why} ({attempts} attempts)"
                self.ledger.move(entry.reference, FAILED, why=why, worker=worker, now=now)
                return True
            self.ledger.tell(entry.reference, why, now, worker)
            self._change(entry.reference, worker=None, heartbeat=None, attempts=attempts,
                         reason=why, rests_until=now + REST * attempts)  # fmt: skip
        return False

    def bury(self, is_dead: Callable[[str], bool]) -> list[str]:
        """Take their orders from workers that are known to be dead; returns the references."""
        with self.ledger.change() as db:
            held = f"SELECT * FROM orders WHERE worker IS NOT NULL AND state IN {OPEN}"
            rows = [row for row in db.execute(held).fetchall() if is_dead(row["worker"])]
            for row in rows:
                self._died(row, time.time())
        return [row["reference"] for row in rows]

    def record(
        self, entry: Entry, took: Mapping[str, float], device: str = "", joules: float | None = None
    ) -> None:
        """Add what work took: seconds of "training" and so on, and energy."""
        with self.ledger.change():
            found = self.ledger.entry(entry.reference)
            sums = found.took | {k: round(found.took.get(k, 0) + s, 3) for k, s in took.items()}
            energy = found.joules if joules is None else (found.joules or 0) + joules
            self._change(entry.reference, took=json.dumps(sums), joules=energy,
                         device=device or found.device)  # fmt: skip

    def reserve(self, entry: Entry, worker: str, wanted: str) -> Path:
        """The folder in `out/` that is this order's and no other's; raises LeaseLost."""
        with self.ledger.change():
            found = self.holds(entry, worker)
            place = found.place or self.ledger.free("place", wanted)
            self._change(entry.reference, place=place, place_key=key_of(place))
        return self.ledger.root / "out" / place

    def vacate(self, entry: Entry, worker: str) -> None:
        """Forget the folder in `out/` of an order that is done anew; raises LeaseLost."""
        with self.ledger.change():
            self.holds(entry, worker)
            self._change(entry.reference, place=None, place_key=None, files="{}", approved=0)

    def deliver(
        self, entry: Entry, worker: str, files: dict[str, FileFacts], publish: Callable[[], None]
    ) -> None:
        """Publish an order's files and enter it as delivered, both or none; raises LeaseLost.

        publish: one rename. Nobody can cancel the order in between; killed in between, the next
        worker finds the files published and says so.
        """
        with self.ledger.change(lasting=True):
            self.holds(entry, worker)
            publish()
            self.ledger.move(entry.reference, DELIVERED, worker=worker)
            self._change(entry.reference, files=files_json(files))
