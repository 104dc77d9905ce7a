"""Orders on Ray: what it is started with, who is refused; and a real cluster that loses a node."""

import os
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest
from ordering import HERE, an_order, new_ledger
from PIL import Image
from refusals import refused
from typer.testing import CliRunner

from smalti.cli import main
from smalti.configs.errors import InputError
from smalti.configs.progress import silent
from smalti.studio.orders import cluster, connection
from smalti.studio.orders.attempt import attempt
from smalti.studio.orders.audit import check_orders
from smalti.studio.orders.leases import Leases
from smalti.studio.orders.terms import Terms
from smalti.studio.orders.work import Desk


@pytest.fixture
def started(monkeypatch) -> list:
    """What Ray is asked for, without Ray."""
    calls: list = []
    ray = SimpleNamespace(
        init=lambda **given: calls.append(given), shutdown=lambda: calls.append("shutdown")
    )
    monkeypatch.setattr(connection, "require", lambda module, what: ray)
    monkeypatch.setattr(connection, "os", SimpleNamespace(environ={}, cpu_count=lambda: 4))
    return calls


def test_one_of_this_machines_own_is_small_and_ends_with_us(started):
    with pytest.raises(ZeroDivisionError), connection.connected(None, 6):
        raise ZeroDivisionError
    given, last = started
    assert last == "shutdown" and "runtime_env" not in given
    assert given["num_cpus"] == 6 and given["include_dashboard"] is False
    assert 75 * 2**20 < given["object_store_memory"] <= 128 * 2**20
    assert connection.os.environ["RAY_ENABLE_UV_RUN_RUNTIME_ENV"] == "0"
    assert connection.os.environ["RAY_memory_monitor_refresh_ms"] == "0"


def test_one_that_is_there_is_told_nothing_of_its_resources(started, monkeypatch):
    monkeypatch.setattr(connection, "_check_address", lambda address: None)
    connection.os.environ["RAY_ADDRESS"] = "head:6379"
    with connection.connected(None, 2):
        pass
    assert started[0]["address"] == "head:6379"
    assert not {"num_cpus", "num_gpus", "object_store_memory", "runtime_env"} & started[0].keys()


def test_what_the_user_has_set_stays():
    environment = {"RAY_memory_monitor_refresh_ms": "250"}
    connection.avoid_traps(environment)
    assert environment["RAY_memory_monitor_refresh_ms"] == "250" and len(environment) > 2


@pytest.mark.parametrize("address", ["nowhere.invalid:6379", "ray://head:10001", "head", "a:b"])
def test_an_address_that_is_none_is_refused_at_once(started, address):
    began = time.monotonic()
    with refused("--address", address.split(":")[0]), connection.connected(address, None):
        pass
    assert started == ["shutdown"] and time.monotonic() - began < 10


def test_what_ray_says_is_passed_on(started, monkeypatch):
    def init(**given):
        raise RuntimeError("Version mismatch: 2.59\nmore")

    ray = SimpleNamespace(init=init, shutdown=lambda: None)
    monkeypatch.setattr(connection, "require", lambda module, what: ray)
    with refused("auto", "2.59"), connection.connected("auto", None):
        pass


def test_without_ray_it_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with refused("ray", "smalti[cluster]"), connection.connected(None, None):
        pass


@pytest.mark.parametrize(
    "words",
    [("--engine", "spark"), ("--address", "head:6379"), ("--split", "9")],
)
def test_options_that_do_not_go_together(words, tmp_path):
    (tmp_path / "day.csv").write_text("reference,picture_prompt,tile_prompts\nA,a cat,a dog\n")
    command = ["orders", "run", str(tmp_path / "day.csv"), "--out", str(tmp_path / "out"), *words]
    found = CliRunner().invoke(main.app, command)
    assert found.exit_code == 2 and words[0] in found.stderr


@pytest.mark.parametrize(
    ("workers", "resources", "machines", "count", "gpu"),
    [
        (None, {"CPU": 8.0, "GPU": 3.0}, 2, 3, True),
        (None, {"CPU": 8.0}, 2, 2, False),
        (4, {"CPU": 8.0}, 2, 4, False),
    ],
)
def test_a_worker_for_each_gpu_or_else_machine(
    workers, resources, machines, count, gpu, tmp_path, monkeypatch
):
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    posts = cluster.posts_of(tmp_path, workers, 256, False, resources, machines)
    assert [post.number for post in posts] == list(range(count))
    assert {post.gpu for post in posts} == {gpu} and posts[0].threads == 8 // count


@pytest.mark.parametrize("resources", [{"CPU": 2.0}, {"CPU": 16.0, "GPU": 2.0}])
def test_more_workers_than_there_is_room_for_are_refused(resources, tmp_path):
    with refused("--workers", "3", "2"):
        cluster.posts_of(tmp_path, 3, 256, False, resources, 2)


def test_what_workers_write_must_be_seen_here(tmp_path, monkeypatch):
    monkeypatch.setattr(cluster, "SLOW", 0.0)
    with cluster.token_in(tmp_path) as (path, text):
        assert path.read_text() == text
        path.with_name(f"{path.name}.0").write_text(text)
        cluster._check_answers(path, text, 1)
        with pytest.raises(InputError, match=tmp_path.name):
            cluster._check_answers(path, text, 2)
    assert not list(tmp_path.iterdir())


def test_nobody_waits_for_the_dead_once_all_is_done(monkeypatch):
    """A dead worker for whom there is no room never comes home."""
    ray = SimpleNamespace(get=lambda answer: answer)
    crew = cluster._Crew(ray, [], None, lambda: None, [])
    crew._owner = SimpleNamespace(living=SimpleNamespace(remote=lambda: {0}))
    assert not crew._is_over([1]), "another one may have to go on with its orders"
    crew._done = True
    assert crew._is_over([1]) and not crew._is_over([0, 1])


# --- a real cluster ---------------------------------------------------------------------------


@pytest.fixture
def two_nodes(monkeypatch):
    """A cluster of two nodes on this machine, each with room for one worker."""
    pytest.importorskip("ray")
    from ray.cluster_utils import Cluster

    connection.avoid_traps(os.environ)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    quick = {"health_check_initial_delay_ms": 0, "health_check_period_ms": 500,
             "health_check_timeout_ms": 500, "health_check_failure_threshold": 3}  # fmt: skip
    size = {"object_store_memory": connection.STORE, "include_dashboard": False}
    head = {"num_cpus": 1, "_system_config": quick, **size}
    found = Cluster(initialize_head=True, head_node_args=head)
    node = found.add_node(num_cpus=1, **size)
    yield found, node
    found.shutdown()


@pytest.fixture
def orders(tiny_sd, tmp_path):
    """A function that receives the same three orders in a new ledger."""
    picture = tmp_path / "picture.png"
    Image.effect_mandelbrot((64, 64), (-2, -1, 1, 1), 20).convert("RGB").save(picture)
    sets = ("steps=2", "guidance_strength=0.3", "mixed_precision=no", "batch_size=2")
    terms = Terms(base=str(tiny_sd), overrides=tuple(f"mosaic.{text}" for text in sets))

    def receive(root: Path):
        ledger = new_ledger(root)
        for reference in ("A", "B", "C"):
            order = an_order(reference, picture_prompt="", picture=str(picture), grid="6x6")
            ledger.receive(order, HERE, terms=terms)
        return ledger

    return receive


def tiles_of(root: Path) -> dict[str, bytes]:
    found = sorted(root.glob("work/*/mosaic/tiles/*.png"))
    return {str(path.relative_to(root)): path.read_bytes() for path in found}


@pytest.mark.slow
def test_a_node_dies_and_all_is_delivered_to_the_same_bytes(two_nodes, orders, tmp_path):
    """Every mosaic is split; a node dies while its worker has an order, another one is added."""
    pytest.importorskip("pyvips")
    nodes, node = two_nodes
    root, lost = tmp_path / "far", []
    ledger = orders(root)
    raylet = node.all_processes["raylet"][0].process.pid

    def kill() -> None:
        for entry in () if lost else ledger.entries(["drawing"]):
            number = int(entry.worker.split(":")[-2])
            begun = any(entry.work.glob("mosaic/tiles/*.png"))
            if begun and psutil.Process(number).ppid() == raylet:
                lost.append(entry.reference)
                nodes.remove_node(node, allow_graceful=False)
                nodes.add_node(num_cpus=1, object_store_memory=connection.STORE)

    counts = cluster.run_cluster(root, address=nodes.address, workers=2, split=4, tick=kill)
    assert counts == {"delivered": 3} and check_orders(ledger) == []
    assert lost and any(event.why.endswith("died") for event in ledger.events(lost[0]))

    near = orders(tmp_path / "near")
    desk = Desk(Leases(near), "w", silent)
    while entry := desk.leases.lease("w"):
        attempt(desk, entry)
    assert tiles_of(root) == tiles_of(tmp_path / "near") and len(tiles_of(root)) == 108
