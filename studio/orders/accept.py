"""Orders that were read, entered into the ledger: new, known, or refused with their faults."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from ...configs.errors import InputError
from .ledger import Ledger
from .reading import Read
from .terms import Terms
from .ticket import BadTicket


@dataclass
class Accepted:
    """References of what came in."""

    new: list[str] = field(default_factory=list)
    same: list[str] = field(default_factory=list)
    refused: dict[str, list[str]] = field(default_factory=dict)
    """The faults of each."""


def accept(
    ledger: Ledger, tickets: Iterable[Read], terms: Terms, *, replace: bool = False
) -> Accepted:
    """Enter every ticket; a bad one never hides the others."""
    found = Accepted()
    for told, folder in tickets:
        if isinstance(told, BadTicket):
            _refuse(ledger, told.reference, told.faults, folder, found)
            continue
        try:
            state = ledger.receive(told, folder, replace=replace, terms=terms)
        except InputError as error:
            _refuse(ledger, told.reference, [str(error)], folder, found)
            continue
        (found.new if state == "new" else found.same).append(told.reference)
    return found


def _refuse(
    ledger: Ledger, reference: str, faults: list[str], folder: Path, found: Accepted
) -> None:
    found.refused[ledger.refuse(reference, faults, folder)] = faults
