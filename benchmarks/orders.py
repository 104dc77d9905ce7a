"""A studio's day: nothing is lost or done twice whatever is killed, starting is paid once, memory.

    python benchmarks/orders.py chaos                   1,000 orders, 30 workers killed, a full disk
    python benchmarks/orders.py chaos --orders 20 --bad 10 --training 1 --kills 3
    python benchmarks/orders.py start                   20 orders in one run, and by 20 commands
    python benchmarks/orders.py memory                  a worker's memory over 200 orders
    python benchmarks/orders.py ray                     two nodes, one killed; a mosaic split
    python benchmarks/orders.py ray --grid off          without the mosaic on the starter

`chaos`, `memory` and the first half of `ray` draw with a tiny base of random weights, the others
with the starter. The disk is filled only by root, who may mount one of the benchmark's own.
"""

import json
import random
import shlex
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Annotated

import psutil
import typer
from order_chaos import Chaos, small_disk
from order_cluster import run_orders, seconds_of_big, tiles_of, two_nodes, write_big
from order_day import QUICK, picture, tiny_base, write_adapters, write_day

from smalti.cli.boundary import guarded
from smalti.cli.console import print_table
from smalti.configs.errors import SmaltiError
from smalti.evaluate.processes import run_in_subprocess
from smalti.studio.orders.audit import check_orders
from smalti.studio.orders.ledger import FILE, Ledger
from smalti.studio.orders.states import DELIVERED, FAILED

ORDERS = (sys.executable, "-m", "smalti.cli.main", "orders", "run")
GEN = (sys.executable, "-m", "smalti.cli.gen")
PRINT = (sys.executable, "-m", "smalti.cli.main", "print")
PROOF = (sys.executable, "-m", "smalti.cli.main", "proof")
MEGABYTES_PER_ORDER, MEGABYTES = 2, 300  # of the disk that is filled
GOAL_SPEEDUP, GOAL_SHARE, GOAL_SPLIT = 5.0, 0.1, 1.6

Folder = Annotated[
    str | None, typer.Option(metavar="FOLDER", help="Where it is done, kept afterwards.")
]
app = typer.Typer(pretty_exceptions_enable=False, add_completion=False)


@contextmanager
def workplace(folder: str | None) -> Iterator[Path]:
    """The folder that was given, or one for a while."""
    if folder:
        Path(folder).mkdir(parents=True, exist_ok=True)
        yield Path(folder).absolute()
        return
    with tempfile.TemporaryDirectory() as made:
        yield Path(made)


# --- chaos ----------------------------------------------------------------------------------------


@app.command()
@guarded()
def chaos(
    orders: Annotated[int, typer.Option(min=1)] = 1000,
    bad: Annotated[int, typer.Option(help="Of ten kinds.")] = 50,
    training: Annotated[int, typer.Option(help="Orders that train a concept.")] = 40,
    kills: Annotated[int, typer.Option(help="Workers that are killed.")] = 30,
    commands: Annotated[int, typer.Option(help="Times that the whole command is killed.")] = 2,
    full: Annotated[bool, typer.Option(help="Fill the disk once.")] = True,
    workers: Annotated[int, typer.Option(min=1)] = 2,
    seed: int = 0,
    folder: Folder = None,
) -> None:
    """Kill workers and commands and fill the disk; then look at every order and every file.

    Exit code 1 when anything is lost, doubled, half-written or unexplained.
    """
    with workplace(folder) as place:
        table = write_day(place / "day", orders, bad, training, seed)
        base = tiny_base(place / "base")
        disk = small_disk(place / "disk", MEGABYTES + MEGABYTES_PER_ORDER * orders)
        with disk as own:
            out = place / "disk" / "orders"
            pick = random.Random(seed)
            harm = ["worker"] * kills + ["command"] * commands + ["disk"] * (full and own)
            moments = [(pick.randint(bad, orders - 2), what) for what in harm]
            settings = [f"--set={text}" for text in QUICK]
            words = [str(table), "--out", str(out), "--workers", str(workers), "--base", str(base)]
            run = Chaos([*ORDERS, *words, *settings], out, pick, moments, orders)
            typer.echo(shlex.join(run.command), err=True)
            began = time.monotonic()
            run.go()
            found = outcome(Ledger(out / FILE), orders - bad, bad)
        rows = [(name, str(value)) for name, value in {**run.happened, **found}.items()]
        rows.append(("seconds", f"{time.monotonic() - began:.0f}"))
        print_table(f"{orders} orders, {workers} workers", ("what", "how many"), rows)
        if found["faults"] or not own and full:
            raise typer.Exit(1)


def outcome(ledger: Ledger, good: int, bad: int) -> dict[str, int]:
    """What became of the orders, and how much of it is wrong; each fault is said."""
    entries = ledger.entries()
    done = [entry for entry in entries if entry.state == DELIVERED]
    explained = [entry for entry in entries if entry.state == FAILED and entry.reason]
    faults = check_orders(ledger)
    if len(done) != good:
        faults.append(f"{len(done)} delivered, not {good}")
    if len(explained) != bad or len(entries) != good + bad:
        faults.append(f"{len(explained)} of {len(entries) - len(done)} explained, not {bad}")
    for fault in faults:
        typer.echo(fault, err=True)
    delivered = [e for e in ledger.events() if e.now == DELIVERED and e.was != DELIVERED]
    deaths = [e for e in ledger.events() if e.why.endswith("died")]
    return {"delivered": len(done), "times delivered": len(delivered), "explained": len(explained),
            "orders that lost a worker": len({e.reference for e in deaths}),
            "faults": len(faults)}  # fmt: skip


# --- starting -------------------------------------------------------------------------------------


def fit_base() -> None:
    """Make what the base keeps on disk, once for ever, before anything is timed."""
    from smalti.configs.loading import resolve
    from smalti.generate.engine import open_engine

    settings = resolve(mosaic="draft")
    engine = open_engine(settings.base, settings.mosaic.machine)
    engine.base.linear_decoder  # noqa: B018, it is made when it is asked for


def timed(command: list[str]) -> float:
    """Seconds of a command; raises SmaltiError with what it said when it fails."""
    began = time.perf_counter()
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise SmaltiError(f"{shlex.join(command)} failed: {done.stderr}")
    return time.perf_counter() - began


@app.command()
@guarded()
def start(
    orders: Annotated[int, typer.Option(min=1)] = 20,
    grid: str = "4x4",
    size: Annotated[str, typer.Option(help="Of the print.")] = "10x10cm",
    folder: Folder = None,
) -> None:
    """Orders in one run, against a loop of mosaic-gen, print and proof over the same pictures."""
    with workplace(folder) as place:
        photo, table = place / "photo.png", place / "orders.csv"
        picture(1, 512).save(photo)
        lines = [f"A-{n},photo.png,a hamburger,{grid},{size},draft,{n}" for n in range(orders)]
        header = "reference,picture,tile_prompts,grid,size,preset,seed"
        table.write_text("\n".join([header, *lines]) + "\n")
        out = place / "orders"
        run_in_subprocess(fit_base)
        wall = timed([*ORDERS, str(table), "--out", str(out)])
        took: dict[str, float] = {}
        for entry in Ledger(out / FILE).entries([DELIVERED]):
            for name, seconds in entry.took.items():
                took[name] = took.get(name, 0.0) + seconds
        loop = {"mosaic-gen": 0.0, "print": 0.0, "proof": 0.0}
        for number in range(orders):
            for name, seconds in commands_of(photo, place / f"m{number}", grid, size, number):
                loop[name] += seconds
        print_start(orders, wall, took, loop)


def commands_of(
    photo: Path, out: Path, grid: str, size: str, seed: int
) -> Iterator[tuple[str, float]]:
    """Name and seconds of each command that an order takes without `mosaic orders`."""
    words = ["--ref", str(photo), "--tile-prompt", "a hamburger", "--grid", grid, "--preset",
             "draft", "--seed", str(seed), "--out", str(out)]  # fmt: skip
    yield "mosaic-gen", timed([*GEN, *words])
    yield "print", timed([*PRINT, str(out), "--size", size])
    yield "proof", timed([*PROOF, str(out), "--size", size])


def print_start(orders: int, wall: float, took: dict[str, float], loop: dict[str, float]) -> None:
    """The table, with what was to be reached."""
    share = 1 - sum(took.get(name, 0.0) for name in ("training", "drawing", "printing")) / wall
    rows = [("one run", f"{wall:.1f}", "")]
    rows += [(f"  of it {name}", f"{seconds:.1f}", "") for name, seconds in took.items()]
    rows.append(("  neither trained, drawn nor printed", f"{share:.1%}", f"goal: {GOAL_SHARE:.0%}"))
    rows.append((f"{orders} x mosaic-gen", f"{loop['mosaic-gen']:.1f}",
                 f"{loop['mosaic-gen'] / wall:.1f} times the run"))  # fmt: skip
    every = sum(loop.values())
    goal = f"{every / wall:.1f} times the run (goal: {GOAL_SPEEDUP:g})"
    rows.append((f"{orders} x mosaic-gen, print and proof", f"{every:.1f}", goal))
    print_table(f"{orders} orders", ("what", "seconds", ""), rows)


# --- memory ---------------------------------------------------------------------------------------


@app.command()
@guarded()
def memory(
    orders: Annotated[int, typer.Option(min=4)] = 200,
    every: Annotated[int, typer.Option(help="Orders between lines of the table.")] = 20,
    folder: Folder = None,
) -> None:
    """What a worker holds while every order has an adapter and a prompt of its own."""
    with workplace(folder) as place:
        base, concepts, out = tiny_base(place / "base"), place / "concepts", place / "orders"
        names = list(write_adapters(base, concepts, orders))
        picture(1).save(place / "photo.png")
        lines = [f"A-{n},photo.png,{name},a <concept> number {n},2x2,3x3cm,{n}"
                 for n, name in enumerate(names)]  # fmt: skip
        header = "reference,picture,concept,tile_prompts,grid,size,seed"
        (place / "orders.csv").write_text("\n".join([header, *lines]) + "\n")
        words = [str(place / "orders.csv"), "--out", str(out), "--base", str(base),
                 "--concepts-dir", str(concepts), *(f"--set={text}" for text in QUICK)]  # fmt: skip
        samples = watched([*ORDERS, *words], out, every)
        rows = [(str(done), f"{rss / 2**20:.0f} MiB", str(files)) for done, rss, files in samples]
        print_table("A worker", ("orders done", "memory", "open files"), rows)
        (place / "memory.json").write_text(json.dumps(samples))


def watched(command: list[str], out: Path, every: int) -> list[tuple[int, int, int]]:
    """Orders done, resident bytes and open files of the worker, as a command goes on."""
    process, found = subprocess.Popen(command), []
    while process.poll() is None:
        time.sleep(0.2)
        worker = _worker_of(out)
        if worker is None:
            continue
        ledger = Ledger(out / FILE)
        done = ledger.counts().get(DELIVERED, 0)
        ledger.close()
        if done >= (found[-1][0] + every if found else 1):
            with suppress(psutil.Error):
                found.append((done, worker.memory_info().rss, worker.num_fds()))
    if process.returncode:
        raise SmaltiError(f"{shlex.join(command)} failed.")
    return found


def _worker_of(out: Path) -> psutil.Process | None:
    if not (out / FILE).is_file():
        return None
    ledger = Ledger(out / FILE)
    rows = ledger.rows("SELECT worker FROM orders WHERE worker IS NOT NULL LIMIT 1")
    ledger.close()
    with suppress(psutil.Error):
        return psutil.Process(int(rows[0]["worker"].split(":")[-2])) if rows else None
    return None


# --- a cluster ------------------------------------------------------------------------------------


@app.command()
@guarded()
def ray(
    orders: Annotated[int, typer.Option(min=2, help="Of 4x4 tiles, on the tiny base.")] = 8,
    grid: Annotated[str, typer.Option(help="Of the mosaic that is split, or off.")] = "16x16",
    folder: Folder = None,
) -> None:
    """Two nodes on this machine, one thread each: bytes, a node's death, one mosaic by two workers.

    Exit code 1 when a byte differs or an order is lost.
    """
    with workplace(folder) as place:
        rows, sound = same_bytes(place, orders)
        if grid != "off":
            run_in_subprocess(fit_base)
            rows += split_in_two(place, grid)
        print_table("Two nodes", ("what", "", ""), rows)
        if not sound:
            raise typer.Exit(1)


def same_bytes(place: Path, orders: int) -> tuple[list[tuple[str, str, str]], bool]:
    """Orders on this machine, on the cluster, and on one whose node is killed in the middle."""
    table, base = write_day(place / "day", orders, 0, 0), tiny_base(place / "base")
    table.write_text(table.read_text().replace("2x2", "4x4"))
    settings = [f"--set={text}" for text in QUICK]
    command = [*ORDERS, str(table), "--base", str(base), *settings, "--workers", "2"]
    rows = [("local", f"{run_orders(command, place / 'local'):.1f} s", "")]
    wanted, sound = tiles_of(place / "local"), True
    for name in ("cluster", "cluster, a node killed"):
        out = place / name.split(" ")[-1]
        with two_nodes() as (nodes, node):
            far = [*command, "--engine", "ray", "--address", nodes.address, "--split", "16"]
            kill = partial(nodes.remove_node, node, allow_graceful=False)
            seconds = run_orders(far, out, orders // 2, kill if "killed" in name else None)
        faults, same = outcome(Ledger(out / FILE), orders, 0)["faults"], tiles_of(out) == wanted
        sound = sound and same and not faults
        told = "the same bytes" if same else "OTHER BYTES"
        rows.append((name, f"{seconds:.1f} s", f"{told}, {faults} faults"))
    return rows, sound


def split_in_two(place: Path, grid: str) -> list[tuple[str, str, str]]:
    """One mosaic on the starter by one worker and by two, both with the base loaded before."""
    table, seconds = write_big(place / "big", grid), []
    for workers in (1, 2):
        out = place / f"by{workers}"
        with two_nodes() as (nodes, _):
            words = ["--engine", "ray", "--address", nodes.address, "--workers", str(workers)]
            run_orders([*ORDERS, str(table), *words, "--split", "16"], out)
        seconds.append(seconds_of_big(out))
    one, two = seconds
    same = "the same bytes" if tiles_of(place / "by1") == tiles_of(place / "by2") else "OTHER BYTES"
    return [(f"{grid} by one worker", f"{one:.1f} s", ""),
            (f"{grid} by two", f"{two:.1f} s", same),
            ("ratio", f"{one / two:.2f}", f"goal: {GOAL_SPLIT:g}")]  # fmt: skip


if __name__ == "__main__":
    app()
