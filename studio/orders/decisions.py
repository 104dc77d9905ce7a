"""What a person decides about an order that also touches its folder: cancel it, print it again."""

from pathlib import Path

from ...configs.errors import InputError
from .folder import FolderTaken, clear, own_folder
from .ledger import Ledger


def cancel(ledger: Ledger, reference: str, why: str = "") -> None:
    """Take an order back and clear its folder; raises InputError for a closed one."""
    ledger.cancel(reference, why)
    clear(ledger.entry(reference))


def print_again(ledger: Ledger, reference: str, copies: int) -> Path:
    """Print a delivered order again; returns the folder beside its first files.

    Raises InputError for an order that is not delivered, or that somebody works on.
    """
    from .work import reprint

    entry = ledger.entry(reference)
    try:
        with own_folder(entry):
            return reprint(ledger, entry, copies)
    except FolderTaken as taken:
        raise InputError(f'"{reference}" is being worked on; try again later.') from taken
