"""Orders on two nodes of a machine: the bytes of a local run, a node that dies, a split mosaic."""

import os
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from order_day import picture

from smalti.configs.errors import SmaltiError
from smalti.studio.extra import require
from smalti.studio.orders.connection import STORE, avoid_traps
from smalti.studio.orders.ledger import FILE, Ledger
from smalti.studio.orders.states import CLOSED, DRAWING, PROOF

ONE_THREAD = {"OMP_NUM_THREADS": "1"}
BIG = "big"


@contextmanager
def two_nodes() -> Iterator[tuple[Any, Any]]:
    """A cluster with room for one worker on each node, and its second node."""
    avoid_traps(os.environ)
    os.environ.update(ONE_THREAD)
    require("ray", "This benchmark")
    from ray.cluster_utils import Cluster

    size = {"num_cpus": 1, "object_store_memory": STORE, "include_dashboard": False}
    cluster = Cluster(initialize_head=True, head_node_args=size)
    try:
        yield cluster, cluster.add_node(**size)
    finally:
        cluster.shutdown()


def run_orders(command: Sequence[str], out: Path, kill_after: int = 0, kill: Any = None) -> float:
    """Seconds of a run of orders, in the midst of which something may be done.

    kill_after: closed orders. Raises SmaltiError where the command fails.
    """
    began = time.perf_counter()
    process = subprocess.Popen([*command, "--out", str(out)], env={**os.environ, **ONE_THREAD})
    while process.poll() is None:
        time.sleep(0.2)
        if kill and _closed(out) >= kill_after:
            kill()
            kill = None
    if process.returncode:
        raise SmaltiError(f"The run into {out} ended with exit code {process.returncode}.")
    return time.perf_counter() - began


def _closed(out: Path) -> int:
    if not (out / FILE).is_file():
        return 0
    ledger = Ledger(out / FILE)
    counts = ledger.counts()
    ledger.close()
    return sum(counts.get(state, 0) for state in CLOSED)


def tiles_of(out: Path) -> dict[str, bytes]:
    """The bytes of every tile."""
    found = out.glob("work/*/mosaic/tiles/*.png")
    return {str(path.relative_to(out)): path.read_bytes() for path in found}


def write_big(folder: Path, grid: str) -> Path:
    """The table of one large mosaic, after two small ones that let both workers load the base."""
    folder.mkdir(parents=True, exist_ok=True)
    picture(1, 512).save(folder / "photo.png")
    rows = [("warm-0", "2x2", 0), ("warm-1", "2x2", 0), (BIG, grid, 9)]
    lines = [f"{name},photo.png,a hamburger,{size},draft,{prio}" for name, size, prio in rows]
    header = "reference,picture,tile_prompts,grid,preset,priority"
    path = folder / "orders.csv"
    path.write_text("\n".join([header, *lines]) + "\n")
    return path


def seconds_of_big(out: Path) -> float:
    """Seconds from the first step of the large mosaic's drawing to its last, less loading."""
    ledger = Ledger(out / FILE)
    entered = {event.now: event.at for event in reversed(ledger.events(BIG))}
    loading = ledger.entry(BIG).took.get("loading", 0.0)
    ledger.close()
    return entered[PROOF] - entered[DRAWING] - loading
