"""One mosaic drawn by several workers: batches of one job, to the same bytes as by one worker."""

import hashlib
import os
import pickle
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol

from ...configs.files import remove, replacing
from ...configs.progress import say
from .board import Help, Offer, Shares
from .work import Desk, timed

if TYPE_CHECKING:
    from ...generate.draw import Draws
    from ...generate.engine import Engine
    from ...generate.grid import Tile
    from ...generate.job import Job
    from ...generate.store import Store
    from ...models.denoising import OnStep

WAIT = 0.5  # seconds between looks at what others draw
SEEN_WITHIN = 60.0  # seconds in which a network share shows what another machine has written
DRAWING = "drawing tiles"


class Boards(Protocol):
    """A `board.Board`, wherever it is."""

    def offer(self, offer: Offer) -> None: ...  # noqa: D102
    def withdraw(self, digest: str) -> None: ...  # noqa: D102
    def take(self, digest: str, worker: str) -> tuple[int | None, set[int]] | None: ...  # noqa: D102
    def finish(self, digest: str, number: int) -> None: ...  # noqa: D102
    def give_back(self, digest: str, number: int, worker: str, refuse: bool) -> None: ...  # noqa: D102


def shares_of(job: "Job", tiles: "Sequence[Tile]") -> Shares:
    """Those of `tiles` that are in each batch of a job, where any are."""
    wanted = set(tiles)
    found = (tuple(t for t in batch if t in wanted) for batch in job.batches())
    return tuple(share for share in found if share)


class Splitting:
    """Draws a worker's own mosaics and lets others help: a `generate.mosaic.Drawer`."""

    def __init__(
        self,
        board: Boards,
        worker: str,
        least: int,
        present: Callable[[], str],
        check_stop: Callable[[], None],
    ) -> None:
        """Offer mosaics of at least `least` tiles on a board.

        present: reference of the present order. check_stop: raises KeyboardInterrupt where the
        worker is to stop.
        """
        self._board, self._worker, self._least = board, worker, least
        self._present, self._check_stop = present, check_stop

    def __call__(
        self,
        engine: "Engine",
        job: "Job",
        store: "Store",
        tiles: "Sequence[Tile]",
        on_step: "OnStep",
    ) -> "Iterator[Tile]":
        """Draw tiles, and wait for those that others draw."""
        from ...generate.draw import ready
        from ...generate.mosaic import stored

        shares, draws, there = shares_of(job, tiles), ready(engine, job), set()

        def draw(some: "Sequence[Tile]") -> "Iterator[Tile]":
            return stored(store, job, draws(some, on_step))

        if len(shares) > 1 and len(job.grid.tiles) >= self._least:
            with self._offered(job, store, shares) as digest:
                for tile in self._shared(digest, shares, draw, on_step):
                    there.add(tile)
                    yield tile
            there.difference_update(self._unseen(store, there, on_step))
        yield from draw([tile for tile in tiles if tile not in there])

    @contextmanager
    def _offered(self, job: "Job", store: "Store", shares: Shares) -> Iterator[str]:
        """Let others help; gives the offer's key."""
        told = pickle.dumps(job)
        digest = hashlib.sha256(told).hexdigest()
        # A killed worker's successor finds by this name that nobody needs the file any more.
        path = store.folder / f".job-{digest[:16]}.{os.getpid()}.tmp"
        with replacing(path) as temporary:
            temporary.write_bytes(told)
        mosaic = (store.folder, store.grid, shares)
        self._board.offer(Offer(self._present(), self._worker, path, digest, *mosaic))
        try:
            yield digest
        finally:
            self._board.withdraw(digest)
            remove(path)

    def _shared(
        self,
        digest: str,
        shares: Shares,
        draw: "Callable[[Sequence[Tile]], Iterator[Tile]]",
        on_step: "OnStep",
    ) -> "Iterator[Tile]":
        """Draw share after share; tells the tiles of others too, until all are done.

        Where the board is lost it ends early.
        """
        told: set[int] = set()
        while answer := self._board.take(digest, self._worker):
            number, done = answer
            for other in sorted(done - told):
                yield from shares[other]
            told |= done
            if number is not None:
                yield from draw(shares[number])
                self._board.finish(digest, number)
                told.add(number)
            elif len(told) == len(shares):
                return
            else:
                self._wait(on_step)

    def _wait(self, on_step: "OnStep") -> None:
        on_step(0, ())  # type: ignore[arg-type]  # what others have done shows
        self._check_stop()
        time.sleep(WAIT)

    def _unseen(self, store: "Store", tiles: "set[Tile]", on_step: "OnStep") -> "list[Tile]":
        """The tiles that this machine does not see, after it gave the share some time."""
        until = time.monotonic() + SEEN_WITHIN
        while (left := store.missing(tiles)) and time.monotonic() < until:
            self._wait(on_step)
        return left


class Helping:
    """Draws shares of other workers' mosaics."""

    def __init__(self, board: Boards, worker: str) -> None:
        """Help as `worker`."""
        self._board, self._worker = board, worker
        self._last: tuple[str, Job, Draws] | None = None

    def __call__(self, desk: Desk, help: Help) -> None:
        """Draw a share; what cannot be drawn here is left to whoever offers it."""
        key = (help.offer.digest, help.number)
        try:
            self._draw(desk, help)
        except KeyboardInterrupt:
            self._board.give_back(*key, self._worker, False)
            raise
        except Exception as error:  # its owner meets the same, and says what becomes of the order
            say(f"orders: no help with {help.offer.reference} ({type(error).__name__}: {error})")
            self._board.give_back(*key, self._worker, True)
        else:
            self._board.finish(*key)

    def forget(self) -> None:
        """Keep nothing of the last job, nor its engine, in memory."""
        self._last = None

    def _draw(self, desk: Desk, help: Help) -> None:
        from ...generate.mosaic import stored
        from ...generate.store import Store

        offer, tiles = help.offer, help.tiles
        desk.report(0, 1, f"helps with {offer.reference}")
        job, draws = self._ready(desk, offer)
        steps = job.mosaic.sampler.steps

        def on_step(index: int, x0: "Sequence[object]") -> None:
            desk.report(min(index, steps), steps, DRAWING)

        with timed(desk, desk.leases.entry(offer.reference), "drawing"):
            for _ in stored(Store(offer.folder, offer.grid), job, draws(tiles, on_step)):
                pass

    def _ready(self, desk: Desk, offer: Offer) -> "tuple[Job, Draws]":
        """The job, read once for all its shares, and what draws it."""
        from ...generate.draw import ready

        if self._last is None or self._last[0] != offer.digest:
            self.forget()
            job = _read(offer)
            engine = desk.engines.of(job.settings, offer.folder)
            self._last = (offer.digest, job, ready(engine, job))
        return self._last[1:]


def _read(offer: Offer) -> "Job":
    """The job of an offer; raises ValueError where the file is not the one that was offered."""
    told = offer.job.read_bytes()
    if hashlib.sha256(told).hexdigest() != offer.digest:
        raise ValueError(f"{offer.job} is not what was offered")
    return pickle.loads(told)
