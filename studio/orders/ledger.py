"""The ledger: one SQLite file that knows every order, its state and how it came there.

Every change of state is one transaction, checked against the table of `states.py` and written down
as an event. What workers do with it is in `leases.py`.
"""

import json
import sqlite3
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from datetime import date, datetime
from hashlib import sha256
from pathlib import Path, PurePosixPath
from typing import Any

from ...configs.errors import InputError, SmaltiError
from ...configs.files import explain
from ...configs.tables import nearest
from .entry import Entry, Event, FileFacts, entry_of, files_json
from .naming import folded, safe_part
from .states import (
    APPROVED,
    CANCELLED,
    CLOSED,
    FAILED,
    OPEN,
    PROOF,
    RECEIVED,
    SETTLED,
    may_follow,
)
from .terms import Terms, kin_of
from .ticket import Order

FILE = "ledger.sqlite"
VERSION = 1  # of the tables below, SQLite's user_version
BUSY = 60  # seconds to wait for another process's transaction
LEASE = 60.0  # seconds without a heartbeat after which an order is anybody's
SCHEMA = """
CREATE TABLE IF NOT EXISTS orders (
    number INTEGER PRIMARY KEY, reference TEXT UNIQUE NOT NULL,
    name TEXT NOT NULL, name_key TEXT UNIQUE NOT NULL,
    content TEXT, digest TEXT, folder TEXT NOT NULL,
    terms TEXT NOT NULL, kin TEXT NOT NULL, priority INTEGER NOT NULL, due TEXT,
    state TEXT NOT NULL, reason TEXT NOT NULL DEFAULT '', received REAL NOT NULL,
    changed REAL NOT NULL, approved INTEGER NOT NULL DEFAULT 0, worker TEXT, heartbeat REAL,
    attempts INTEGER NOT NULL DEFAULT 0, rests_until REAL NOT NULL DEFAULT 0,
    place TEXT, place_key TEXT UNIQUE, files TEXT NOT NULL DEFAULT '{}',
    took TEXT NOT NULL DEFAULT '{}', device TEXT NOT NULL DEFAULT '', joules REAL);
CREATE TABLE IF NOT EXISTS events (
    number INTEGER PRIMARY KEY, reference TEXT NOT NULL, at REAL NOT NULL, was TEXT NOT NULL,
    now TEXT NOT NULL, worker TEXT, why TEXT NOT NULL);
CREATE INDEX IF NOT EXISTS waiting ON orders (state, priority, due, number);
CREATE INDEX IF NOT EXISTS told ON events (reference);
"""


class Ledger:
    """The ledger's file, opened by one thread of a process."""

    def __init__(self, path: Path) -> None:
        """Open the ledger, or begin it.

        Raises InputError for what is no ledger of this smalti, SmaltiError where the disk is full.
        """
        self.path, self.root = path.absolute(), path.absolute().parent
        try:
            self.root.mkdir(parents=True, exist_ok=True)
            self._db = sqlite3.connect(self.path, timeout=BUSY, isolation_level=None)
            self._db.row_factory = sqlite3.Row
            self._db.execute("PRAGMA journal_mode=WAL")
            self._begin()
        except OSError as error:
            raise explain(error, self.path) from error
        except sqlite3.OperationalError as error:
            raise self._unwritten(error) from error
        except sqlite3.Error as error:
            raise InputError(f"{path} cannot be read as a ledger of orders ({error}).") from error

    def _begin(self) -> None:
        version = self._db.execute("PRAGMA user_version").fetchone()[0]
        if version == 0:
            self._db.executescript(f"BEGIN IMMEDIATE;{SCHEMA}PRAGMA user_version={VERSION};COMMIT;")
        elif version != VERSION:
            raise InputError(f"{self.path} is of another smalti (version {version}); use that one.")

    def close(self) -> None:
        """Close the file; the ledger is of no use then."""
        self._db.close()

    @contextmanager
    def change(self, *, lasting: bool = False) -> Iterator[sqlite3.Connection]:
        """A transaction: all of it is kept, or nothing; raises SmaltiError on a full disk.

        lasting: nothing that was said so far is lost in a power cut either. What workers say on
        the way needs no wait for the disk, as the next one sees in the folder how far it came.
        """
        try:
            self._db.execute(f"PRAGMA synchronous={'FULL' if lasting else 'NORMAL'}")
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield self._db
            except BaseException:
                with suppress(sqlite3.Error):
                    self._db.execute("ROLLBACK")
                raise
            self._db.execute("COMMIT")
        except sqlite3.OperationalError as error:
            with suppress(sqlite3.Error):
                self._db.execute("ROLLBACK")
            raise self._unwritten(error) from error

    def _unwritten(self, error: sqlite3.Error) -> SmaltiError:
        """What is said where the disk is full, the file is locked, or nobody may write there."""
        return SmaltiError(
            f"The ledger {self.path} was not written: {error}. Is there space on that disk? What "
            "was done is kept; the same command goes on."
        )

    def rows(self, text: str, *values: object) -> list[sqlite3.Row]:
        """What a query finds."""
        with closing(self._db.execute(text, values)) as found:
            return found.fetchall()

    # --- what comes in ------------------------------------------------------------------------

    def receive(
        self,
        order: Order,
        folder: Path,
        *,
        replace: bool = False,
        terms: Terms | None = None,
        now: float | None = None,
    ) -> str:
        """Enter an order: "new", or "same" for one that is there with this content.

        An order that was refused, failed or cancelled may come again with other content. Raises
        InputError when another one has this reference, unless `replace`, and when a worker has it.
        """
        terms, digest = terms or Terms(), order.digest()
        with self.change() as db:
            old = self._row(order.reference)
            if old and old["digest"] == digest and not (replace and old["terms"] != _json(terms)):
                if old["worker"] is None:  # its files may lie elsewhere now
                    db.execute(
                        "UPDATE orders SET content = ?, folder = ? WHERE number = ?",
                        (order.model_dump_json(), str(folder), old["number"]),
                    )
                return "same"
            if old:
                _check_replacing(old, replace)
            self._enter(order.reference, old, folder, terms, now, {
                "content": order.model_dump_json(), "digest": digest, "kin": kin_of(order, terms),
                "priority": order.priority, "due": order.due and order.due.isoformat(),
            })  # fmt: skip
        return "new"

    def refuse(
        self, reference: str, reasons: Sequence[str], folder: Path, *, now: float | None = None
    ) -> str:
        """Enter a ticket that cannot become an order, as failed; returns the reference it got.

        One whose reference another order has, or that has none, gets one of its own.
        """
        reason = "; ".join(reasons)
        with self.change():
            old = self._row(reference) if reference else None
            if not reference or (old and old["content"] is not None):
                mark = sha256(f"{folder} {reason}".encode(errors="replace")).hexdigest()[:6]
                reference = f"{reference or 'ticket'}~{mark}"
                old = self._row(reference)
            if not (old and old["reason"] == reason):
                self._enter(reference, old, folder, Terms(), now, {"priority": 0, "kin": ""})
                self.move(reference, FAILED, why=reason, now=now)
        return reference

    def _enter(
        self,
        reference: str,
        old: sqlite3.Row | None,
        folder: Path,
        terms: Terms,
        now: float | None,
        facts: dict[str, Any],
    ) -> None:
        """Write a received order, over the one that was there; its number and name stay."""
        now = time.time() if now is None else now
        values = {"reference": reference, "folder": str(folder), "terms": _json(terms),
                  "state": RECEIVED, "received": now, "changed": now, **facts}  # fmt: skip
        if old:
            kept = ("number", "name", "name_key", "place", "place_key")
            values |= {name: old[name] for name in kept}
        else:
            values["name"] = name = self.free("name", safe_part(reference))
            values["name_key"] = key_of(name)
        marks = ", ".join("?" * len(values))
        self._db.execute(
            f"INSERT OR REPLACE INTO orders ({', '.join(values)}) VALUES ({marks})",
            tuple(values.values()),
        )
        was = old["state"] if old else ""
        self._tell(reference, was, RECEIVED, now, why="told anew" * bool(old))

    def free(self, column: str, wanted: str) -> str:
        """A name or place that no order has yet on any file system: as wanted, or numbered."""
        found, number = wanted, 1
        while self.rows(f"SELECT 1 FROM orders WHERE {column}_key = ?", key_of(found)):
            number += 1
            found = f"{wanted}-{number}"
        return found

    # --- what is there ------------------------------------------------------------------------

    def _row(self, reference: str) -> sqlite3.Row | None:
        return next(iter(self.rows("SELECT * FROM orders WHERE reference = ?", reference)), None)

    def entry(self, reference: str) -> Entry:
        """What is known of an order; raises InputError naming the nearest reference."""
        if row := self._row(reference):
            return entry_of(row, self.root)
        known = [row["reference"] for row in self.rows("SELECT reference FROM orders")]
        raise InputError(f'There is no order "{reference}"{nearest(reference, known)}')

    def entries(self, states: Iterable[str] = (), day: date | None = None) -> list[Entry]:
        """The orders in some states, or all, as they came; day: those last changed then."""
        wanted = list(states)
        where = f"WHERE state IN ({', '.join('?' * len(wanted))})" if wanted else ""
        rows = self.rows(f"SELECT * FROM orders {where} ORDER BY number", *wanted)
        found = [entry_of(row, self.root) for row in rows]
        return [e for e in found if day in (None, datetime.fromtimestamp(e.changed).date())]

    def events(self, reference: str | None = None) -> list[Event]:
        """What happened, oldest first."""
        where, values = ("WHERE reference = ?", [reference]) if reference else ("", [])
        rows = self.rows(f"SELECT * FROM events {where} ORDER BY number", *values)
        names = ("reference", "at", "was", "now", "worker", "why")
        return [Event(**{name: row[name] for name in names}) for row in rows]

    def counts(self) -> dict[str, int]:
        """How many orders are in each state that any is in."""
        rows = self.rows("SELECT state, count(*) AS n FROM orders GROUP BY state")
        return {row["state"]: row["n"] for row in rows}

    # --- what people decide -------------------------------------------------------------------

    def retry(self, reference: str) -> None:
        """Take up a failed or cancelled order again; raises InputError for another."""
        with self.change(lasting=True) as db:
            entry = self.entry(reference)
            if entry.state not in SETTLED:
                raise InputError(f'"{reference}" is {entry.state}; only failed ones are retried.')
            if entry.order is None:
                raise InputError(
                    f'The ticket of "{reference}" was refused ({entry.reason}). Mend it and run '
                    "the same file or folder again."
                )
            self.move(reference, RECEIVED, why="retried")
            db.execute("UPDATE orders SET attempts = 0, rests_until = 0 WHERE reference = ?",
                       (reference,))  # fmt: skip

    def cancel(self, reference: str, why: str = "") -> None:
        """Take an order back; a worker that has it stops. Raises InputError for a closed one."""
        with self.change(lasting=True):
            entry = self.entry(reference)
            if entry.state in CLOSED:
                raise InputError(f'"{reference}" is {entry.state}; there is nothing to cancel.')
            self.move(reference, CANCELLED, why=why or "cancelled by hand")

    def approve(self, reference: str) -> None:
        """Let print files be made of an order whose proof waits; raises InputError for another."""
        with self.change(lasting=True) as db:
            entry = self.entry(reference)
            if entry.state != PROOF:
                raise InputError(f'"{reference}" is {entry.state}; no proof of it waits.')
            self.move(reference, APPROVED, why="approved by hand")
            db.execute("UPDATE orders SET approved = 1 WHERE reference = ?", (reference,))

    def note(self, reference: str, why: str, files: dict[str, FileFacts] | None = None) -> None:
        """Write down what happened to an order without a change of its state."""
        with self.change(lasting=True) as db:
            self.tell(reference, why)
            if files is not None:
                db.execute("UPDATE orders SET files = ? WHERE reference = ?",
                           (files_json(files), reference))  # fmt: skip

    # --- every change ---------------------------------------------------------------------------

    def move(
        self, reference: str, to: str, *, why: str = "", worker: str | None = None,
        now: float | None = None,
    ) -> None:  # fmt: skip
        """Change a state within a transaction; a closed or received order has no worker.

        Raises SmaltiError for what the table of states does not allow.
        """
        now = time.time() if now is None else now
        row = self._row(reference)
        if row is None or not may_follow(row["state"], to):
            was = row["state"] if row else "unknown"
            raise SmaltiError(f'The order "{reference}" is {was} and cannot become {to}.')
        reason = why if to in SETTLED else ""
        free = "" if to in OPEN and to != RECEIVED else ", worker = NULL, heartbeat = NULL"
        self._db.execute(
            f"UPDATE orders SET state = ?, reason = ?, changed = ?{free} WHERE reference = ?",
            (to, reason, now, reference),
        )
        self._tell(reference, row["state"], to, now, worker, why)

    def tell(
        self, reference: str, why: str, at: float | None = None, worker: str | None = None
    ) -> None:
        """Write down what happened to an order, within a transaction."""
        state = self.entry(reference).state
        self._tell(reference, state, state, time.time() if at is None else at, worker, why)

    def _tell(
        self, reference: str, was: str, now: str, at: float, worker: str | None = None,
        why: str = "",
    ) -> None:  # fmt: skip
        self._db.execute(
            "INSERT INTO events (reference, at, was, now, worker, why) VALUES (?, ?, ?, ?, ?, ?)",
            (reference, at, was, now, worker, why),
        )


def _check_replacing(old: sqlite3.Row, replace: bool) -> None:
    if old["worker"] is not None:
        raise InputError(f'"{old["reference"]}" is being worked on; cancel it first.')
    if old["content"] is not None and old["state"] not in SETTLED and not replace:
        raise InputError(
            f'"{old["reference"]}" is {old["state"]} with other content. Give it another '
            "reference, or --replace to do it anew."
        )


def _json(terms: Terms) -> str:
    return json.dumps(terms.as_dict(), sort_keys=True)


def key_of(path: str) -> str:
    """What two names have in common that some file systems take for one."""
    return folded(PurePosixPath(path))
