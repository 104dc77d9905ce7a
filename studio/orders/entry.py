"""What the ledger says of one order, as plain data."""

import json
import sqlite3
from dataclasses import dataclass, field
from pathlib import Path

from .terms import Terms
from .ticket import Order


@dataclass(frozen=True)
class FileFacts:
    """What is recorded of a delivered file."""

    size: int
    """Bytes."""
    sha256: str


@dataclass(frozen=True)
class Entry:
    """What the ledger knows of one order."""

    reference: str
    name: str
    """Of its folder in `work/`."""
    order: Order | None
    """None where the ticket was refused."""
    digest: str
    folder: Path
    """Where its ticket came from."""
    terms: Terms
    state: str
    reason: str
    """Why it failed, was cancelled or waits."""
    received: float
    changed: float
    """Seconds since 1970, as `received` and `heartbeat`."""
    approved: bool
    worker: str | None
    heartbeat: float | None
    attempts: int
    """How often work on it ended with its worker's death or for want of memory or disk."""
    place: str
    """Its folder in `out/`, "" before it is known."""
    files: dict[str, FileFacts]
    """The delivered files, by their names in that folder."""
    took: dict[str, float]
    """Seconds of "training", "drawing" and "printing", and of "loading" a base if it waited."""
    device: str
    joules: float | None
    root: Path = field(repr=False)
    """The folder of the ledger."""

    @property
    def work(self) -> Path:
        """The folder in which it is worked on."""
        return self.root / "work" / self.name

    @property
    def out(self) -> Path | None:
        """The folder in which it is, or will be, delivered."""
        return self.root / "out" / self.place if self.place else None

    @property
    def outputs(self) -> dict[str, Path]:
        """The delivered files by name."""
        return {name: self.root / "out" / self.place / name for name in self.files}


@dataclass(frozen=True)
class Event:
    """One change of state; without change, what happened to the order."""

    reference: str
    at: float
    was: str
    now: str
    worker: str | None
    why: str


def entry_of(row: sqlite3.Row, root: Path) -> Entry:
    """A row of the ledger in the folder `root`."""
    files = {name: FileFacts(**facts) for name, facts in json.loads(row["files"]).items()}
    return Entry(
        reference=row["reference"],
        name=row["name"],
        order=Order.model_validate_json(row["content"]) if row["content"] else None,
        digest=row["digest"] or "",
        folder=Path(row["folder"]),
        terms=Terms.of(json.loads(row["terms"])),
        state=row["state"],
        reason=row["reason"],
        received=row["received"],
        changed=row["changed"],
        approved=bool(row["approved"]),
        worker=row["worker"],
        heartbeat=row["heartbeat"],
        attempts=row["attempts"],
        place=row["place"] or "",
        files=files,
        took=json.loads(row["took"]),
        device=row["device"],
        joules=row["joules"],
        root=root,
    )


def files_json(files: dict[str, FileFacts]) -> str:
    """The facts of files as the ledger keeps them."""
    return json.dumps({name: vars(facts) for name, facts in files.items()}, sort_keys=True)
