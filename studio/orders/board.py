"""Mosaics that several workers draw: what is offered, who draws which share, what is done.

A share is the missing tiles of one batch of a job. Whoever offered the mosaic draws shares like all
others, so it needs nobody's help; a share whose drawer is gone is anybody's again.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from ...generate.grid import Grid, Tile

Shares = tuple[tuple[Tile, ...], ...]


@dataclass(frozen=True)
class Offer:
    """A job whose shares others may draw, as plain data: paths, and no pictures."""

    reference: str
    """The order's."""
    worker: str
    """Who offers it."""
    job: Path
    """File of the pickled job, which every worker can read."""
    digest: str
    """SHA-256 of that file: nothing else is ever unpickled."""
    folder: Path
    """Folder of the store."""
    grid: Grid
    shares: Shares


@dataclass(frozen=True)
class Help:
    """A share that somebody else than its mosaic's worker draws."""

    offer: Offer
    number: int
    """Of the share."""

    @property
    def tiles(self) -> tuple[Tile, ...]:
        """What is to be drawn."""
        return self.offer.shares[self.number]


@dataclass
class _State:
    offer: Offer
    taken: dict[int, str] = field(default_factory=dict)
    done: set[int] = field(default_factory=set)
    refused: set[tuple[int, str]] = field(default_factory=set)


class Board:
    """Where mosaics are offered; one process has it."""

    def __init__(self, lives: Callable[[str], bool]) -> None:
        """lives: whether a worker is still there."""
        self._lives = lives
        self._states: dict[str, _State] = {}

    def offer(self, offer: Offer) -> None:
        """Let others help, until it is withdrawn or whoever offers it is gone."""
        self._states[offer.digest] = _State(offer)

    def withdraw(self, digest: str) -> None:
        """Nobody is to help any more."""
        self._states.pop(digest, None)

    def take(self, digest: str, worker: str) -> tuple[int | None, set[int]] | None:
        """A share for whoever offered them, None where none is free, and all that are done.

        None alone where nobody knows of the offer any more.
        """
        state = self._states.get(digest)
        if state is None:
            return None
        return self._take(state, worker), set(state.done)

    def help(self, worker: str) -> Help | None:
        """A share of somebody else's mosaic, the oldest first."""
        for digest in [d for d, s in self._states.items() if not self._lives(s.offer.worker)]:
            self.withdraw(digest)
        for state in self._states.values():
            if state.offer.worker != worker:
                number = self._take(state, worker)
                if number is not None:
                    return Help(state.offer, number)
        return None

    def _take(self, state: _State, worker: str) -> int | None:
        number = next(self._free(state, worker), None)
        if number is not None:
            state.taken[number] = worker
        return number

    def _free(self, state: _State, worker: str) -> Iterator[int]:
        for number in range(len(state.offer.shares)):
            if number in state.done or (number, worker) in state.refused:
                continue
            other = state.taken.get(number)
            # A worker that asks again has lost the answer to what it asked before.
            if other is None or other == worker or not self._lives(other):
                yield number

    def finish(self, digest: str, number: int) -> None:
        """The tiles of a share lie in the store."""
        if state := self._states.get(digest):
            state.done.add(number)

    def give_back(self, digest: str, number: int, worker: str, refuse: bool) -> None:
        """Leave a share to others; refuse: for want of memory or whatever this worker lacks."""
        state = self._states.get(digest)
        if state and state.taken.get(number) == worker:
            del state.taken[number]
            if refuse:
                state.refused.add((number, worker))
