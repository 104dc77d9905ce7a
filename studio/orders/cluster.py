"""A day of orders on a cluster: workers are Ray's actors, the ledger has one owner beside us."""

import os
import secrets
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager, redirect_stdout, suppress
from pathlib import Path
from typing import Any

from ...configs.errors import InputError, SmaltiError
from ...configs.files import remove, write_text
from ...configs.progress import say
from .connection import connected
from .display import Display, shown
from .hand import SLOW, Hand, Post
from .leases import Leases
from .ledger import FILE, Ledger
from .owner import Owner, bury
from .pool import STOPPING, TICK, bury_dead, heeding, say_end
from .worker import Station

SPLIT = 256  # tiles from which on a mosaic is shared
RESTARTS = 20  # of a worker in one run, before its place is given up
STARTED_WITHIN = 300.0  # seconds
ANSWERED_WITHIN = 5.0  # seconds, of the owner at the end


def run_cluster(
    root: Path,
    *,
    address: str | None = None,
    workers: int | None = None,
    split: int = SPLIT,
    endless: bool = False,
    tick: Callable[[], None] = lambda: None,
) -> dict[str, int]:
    """Work on the orders of the ledger in `root`, which every machine sees at this path.

    address: the cluster's, None for one of this machine's own. workers: None is one per GPU of the
    cluster; without GPUs, one per machine. split: mosaics of so many tiles are shared. All else,
    and what is returned and raised, as `pool.run_pool`; InputError where the cluster cannot be
    reached, has no room for the workers, or does not see the folder.
    """
    root = root.absolute()
    ledger, came = Ledger(root / FILE), []
    try:
        bury_dead(ledger)
        with connected(address, workers) as ray, shown(ledger) as display, _quiet():
            posts = posts_of(root, workers, split, endless, ray.cluster_resources(), _nodes(ray))
            try:
                _Crew(ray, posts, display, tick, came).run()
            except ray.exceptions.RayError as error:
                told = str(error).splitlines()[0]
                raise SmaltiError(f"Ray has ended ({told}). The same command goes on.") from error
        return ledger.counts()
    finally:
        with suppress(SmaltiError):
            bury(Leases(ledger), came.__contains__)
        ledger.close()


@contextmanager
def _quiet() -> Iterator[None]:
    """Ray tells of every death at length, on standard output, which is for results."""
    with open(os.devnull, "w") as nowhere, redirect_stdout(nowhere):
        yield


def _nodes(ray: Any) -> int:
    return sum(bool(node["Alive"] and node["Resources"].get("CPU")) for node in ray.nodes())


def posts_of(
    root: Path,
    workers: int | None,
    split: int,
    endless: bool,
    resources: dict[str, float],
    machines: int,
) -> list[Post]:
    """Where the workers work; raises InputError where the cluster has no room for them."""
    gpus, cores = int(resources.get("GPU", 0)), int(resources.get("CPU", 0))
    count = workers or gpus or max(1, machines)
    if count > (room := gpus or cores):
        what = "GPUs" if gpus else "processors"
        raise InputError(f"--workers {count}: the cluster has {room} {what}, one for each worker.")
    station = Station(root, -(-count // max(1, machines)), None, endless)
    threads = int(os.environ.get("OMP_NUM_THREADS") or max(1, cores // count))
    return [Post(station, number, Path.cwd(), threads, split, gpus > 0) for number in range(count)]


class _Crew:
    def __init__(
        self,
        ray: Any,
        posts: list[Post],
        display: Display,
        tick: Callable[[], None],
        came: list[str],
    ) -> None:
        """came: gets the names of all workers in the end."""
        self._ray, self._posts, self._display, self._tick = ray, posts, display, tick
        self._stopping, self._stuck, self._told, self._done = 0, "", False, False
        self._hands: list[Any] = []
        self._came = came

    def run(self) -> None:
        with heeding(self._ask):
            try:
                self._owner = self._appoint()
                self._hands = [self._hire(post) for post in self._posts]
                self._meet()
                self._work()
            finally:
                self._end()
        say_end(self._stuck, self._stopping)

    def _ask(self) -> None:
        self._stopping += 1

    def _appoint(self) -> Any:
        """The owner, on this machine: it alone opens the ledger with us."""
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        here = self._ray.get_runtime_context().get_node_id()
        actor = self._ray.remote(
            num_cpus=0, max_restarts=-1, max_task_retries=-1, concurrency_groups={"beats": 2},
            scheduling_strategy=NodeAffinitySchedulingStrategy(here, soft=False),
        )(Owner)  # fmt: skip
        return actor.remote(self._posts[0].station.root)

    def _hire(self, post: Post) -> Any:
        """A worker, on the machine that has least to do."""
        needs = {"num_cpus": 0, "num_gpus": 1} if post.gpu else {"num_cpus": 1}
        actor = self._ray.remote(
            **needs, max_restarts=RESTARTS, max_task_retries=-1, scheduling_strategy="SPREAD"
        )(Hand)
        return actor.remote(post)

    def _meet(self) -> None:
        """Wait until all are there and see the folder; raises InputError where one does not."""
        say(f"orders: {len(self._hands)} workers are starting")
        root = self._posts[0].station.root
        with token_in(root) as (path, text):
            asked = [hand.sees.remote(path, text) for hand in self._hands]
            until = time.monotonic() + STARTED_WITHIN
            while asked and not self._stopping:
                done, asked = self._ray.wait(asked, timeout=TICK)
                for answer in done:
                    self._met(answer, root)
                if time.monotonic() > until:
                    raise SmaltiError(f"{len(asked)} workers did not start. See: ray status")
            if not self._stopping:
                _check_answers(path, text, len(self._hands))

    def _met(self, answer: Any, root: Path) -> None:
        try:
            self._ray.get(answer)
        except self._ray.exceptions.RayTaskError as error:
            raise InputError(
                f"{root} is not the same folder on {error.cause}. Give --out a folder that all "
                "machines share, under the same path."
            ) from error

    def _work(self) -> None:
        starting = enumerate([] if self._stopping else self._hands)
        running = {hand.work.remote(self._owner): number for number, hand in starting}
        while running and self._stopping < 2 and not self._is_over(running.values()):
            done, _ = self._ray.wait(list(running), timeout=TICK)
            self._listen()
            for answer in done:
                self._went(answer, running.pop(answer), running)
            if not (self._stopping or self._stuck):
                self._tick()
            self._display.update()

    def _is_over(self, places: Collection[int]) -> bool:
        """Whether nothing is left to be done but for dead workers, who may find no room again."""
        if not (self._stopping or self._stuck or self._done):
            return False
        return self._ray.get(self._owner.living.remote()).isdisjoint(places)

    def _listen(self) -> None:
        """Hear what workers say; let them know that they are to stop."""
        if self._stopping and not self._told:
            self._told = True
            say(STOPPING)
        stop = self._stopping or bool(self._stuck)
        for place, told in self._ray.get(self._owner.words.remote(int(stop))):
            if told.what == "said":
                say(told.note)
            elif told.what == "arrived":
                say(f"orders: worker {place + 1} had died; another one is on {told.note}")
            elif told.what == "stuck":
                self._stuck = told.note
            else:
                self._display.hear(place, told)

    def _went(self, answer: Any, place: int, others: Any) -> None:
        """A worker went home, or died once too often."""
        try:
            self._ray.get(answer)
            self._done = True
        except self._ray.exceptions.RayError as error:
            told = f"worker {place + 1} is given up ({str(error).splitlines()[0]})"
            if not others and not self._stopping:
                self._stuck = self._stuck or f"The last {told}."
            else:
                say(f"orders: {told}")

    def _end(self) -> None:
        """Whatever happens here, no worker outlives us."""
        for hand in self._hands:
            self._ray.kill(hand)
        with suppress(Exception):  # whoever is not named is dead when its lease has expired
            self._came += self._ray.get(self._owner.workers.remote(), timeout=ANSWERED_WITHIN)


@contextmanager
def token_in(root: Path) -> Iterator[tuple[Path, str]]:
    """A file that only those see who see this very folder, and what stands in it."""
    text = secrets.token_hex(8)
    path = root / f".seen-{text}"
    write_text(path, text)
    try:
        yield path, text
    finally:
        for left in root.glob(f"{path.name}*"):
            remove(left)


def _check_answers(path: Path, text: str, count: int) -> None:
    """Raise InputError unless we see what the workers wrote."""
    until = time.monotonic() + SLOW
    answers = [path.with_name(f"{path.name}.{number}") for number in range(count)]
    while not all(answer.is_file() and answer.read_text() == text for answer in answers):
        if time.monotonic() > until:
            raise InputError(f"This machine does not see what workers write into {path.parent}.")
        time.sleep(0.2)
