"""Orders and ledgers that the tests of the studio's day share."""

from pathlib import Path

from smalti.studio.orders.entry import FileFacts
from smalti.studio.orders.leases import Leases
from smalti.studio.orders.ledger import FILE, Ledger
from smalti.studio.orders.ticket import Order

HERE = Path("tickets")
FILES = {"print.tif": FileFacts(3, "a" * 64)}


def an_order(reference: str = "A-1", **fields) -> Order:
    """An order that names no file."""
    return Order(reference=reference, **{"picture_prompt": "a cat", "tile_prompts": ("a dog",),
                                         **fields})  # fmt: skip


def new_ledger(folder: Path) -> Ledger:
    """The ledger of a folder."""
    return Ledger(folder / FILE)


def deliver(leases: Leases, worker: str, reference: str) -> None:
    """Bring an order that a worker has to its end, without any file."""
    entry = leases.entry(reference)
    for state in ("checked", "drawing", "proof", "printing"):
        leases.enter(entry, worker, state)
    leases.reserve(entry, worker, reference)
    leases.deliver(entry, worker, FILES, lambda: None)
