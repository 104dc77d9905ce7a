"""One order from its ticket to its files, broken off in every way."""

import errno
import json
from collections.abc import Callable
from pathlib import Path

import pytest
from ordering import HERE, an_order, new_ledger
from PIL import Image

from smalti.configs.errors import InputError
from smalti.configs.progress import silent
from smalti.studio.orders import attempt as attempts
from smalti.studio.orders.attempt import NothingWritable, attempt
from smalti.studio.orders.audit import check_orders
from smalti.studio.orders.engines import Engines
from smalti.studio.orders.folder import own_folder
from smalti.studio.orders.leases import Leases
from smalti.studio.orders.ledger import Ledger
from smalti.studio.orders.terms import Terms
from smalti.studio.orders.work import Desk, reprint

pytest.importorskip("pyvips")


class Killed(BaseException):
    """Stands for SIGKILL: nothing is said or cleared up on the way out."""


@pytest.fixture(scope="module")
def engines() -> Engines:
    return Engines()


@pytest.fixture
def leases(tmp_path: Path) -> Leases:
    return Leases(new_ledger(tmp_path / "orders"))


@pytest.fixture
def terms(tiny_sd: Path) -> Terms:
    sets = ("steps=2", "guidance_strength=0.3", "mixed_precision=no", "batch_size=2")
    return Terms(base=str(tiny_sd), overrides=tuple(f"mosaic.{text}" for text in sets))


@pytest.fixture
def picture(tmp_path: Path) -> str:
    path = tmp_path / "picture.png"
    Image.effect_mandelbrot((64, 64), (-2, -1, 1, 1), 20).convert("RGB").save(path)
    return str(path)


@pytest.fixture
def take(leases, engines) -> Callable[..., None]:
    """Let a worker take an order, with some report."""

    def run(worker: str = "w", report=silent, now: float | None = None) -> None:
        entry = leases.lease(worker, now)
        assert entry is not None
        attempt(Desk(leases, worker, report, engines), entry)

    return run


def small(reference: str, picture: str, **fields):
    return an_order(reference, picture_prompt="", picture=picture, grid="2x2", **fields)


def sound(ledger: Ledger) -> bool:
    return check_orders(ledger) == []


@pytest.mark.slow
def test_from_a_ticket_to_the_files_and_once_more(leases, take, terms, picture):
    ledger = leases.ledger
    ledger.receive(small("A/1", picture, size="3x3cm", copies=2), HERE, terms=terms)
    take()
    entry = ledger.entry("A/1")
    assert entry.state == "delivered" and entry.worker is None
    prints = [path for path in entry.outputs.values() if path.suffix == ".tif"]
    with Image.open(prints[0]) as image:
        side = round(30 / 25.4 * 300) + 2 * round(3 / 25.4 * 300)
        assert image.size == (side, side), "3 cm and 3 mm of bleed on each side at 300 dpi"
    assert json.loads(entry.outputs["ticket.json"].read_text())["copies"] == 2
    assert {"proof.jpg", "proof.pdf"} < entry.outputs.keys()
    assert entry.took.keys() == {"loading", "drawing", "printing"} and entry.device
    assert sound(ledger)

    with own_folder(entry):
        again = reprint(ledger, entry, 5)
    assert json.loads((again / "ticket.json").read_text())["copies"] == 5
    assert sound(ledger) and len(ledger.entry("A/1").files) == len(entry.files) + 2
    prints[0].write_bytes(b"half")
    (faults,) = check_orders(ledger)
    assert str(prints[0]) in faults

    ledger.receive(small("A/1", picture, seed=9), HERE, terms=terms, replace=True)
    take()
    entry = ledger.entry("A/1")
    assert sound(ledger) and not prints[0].exists() and "proof.pdf" not in entry.files


@pytest.mark.slow
def test_killed_at_every_step_it_goes_on_to_the_same_tiles(leases, take, terms, picture):
    ledger = leases.ledger
    ledger.receive(small("whole", picture), HERE, terms=terms)
    take()
    ledger.receive(small("killed", picture), HERE, terms=terms)
    kills = 0
    while ledger.entry("killed").state != "delivered":
        calls = 0

        def kill(done: int, total: int, note: str) -> None:
            nonlocal calls, kills
            calls += 1
            if calls > kills:  # each time one step further
                kills += 1
                raise Killed

        try:
            take(f"w{kills}", kill)
        except Killed:
            leases.bury(lambda worker: True)
            ledger.rows("UPDATE orders SET attempts = 0")
    tiles = [sorted((ledger.entry(name).work / "mosaic" / "tiles").iterdir())
             for name in ("whole", "killed")]  # fmt: skip
    assert [p.read_bytes() for p in tiles[0]] == [p.read_bytes() for p in tiles[1]]
    assert kills > 4 and sound(ledger)


@pytest.mark.slow
def test_a_proof_waits_for_a_word(leases, take, terms, picture):
    terms = Terms(**terms.as_dict() | {"proof_first": True})
    leases.ledger.receive(small("A-1", picture), HERE, terms=terms)
    take()
    entry = leases.ledger.entry("A-1")
    assert entry.state == "proof" and not entry.files and not leases.has_work()
    assert (entry.work / "proof.jpg").is_file() and sound(leases.ledger)
    leases.ledger.approve("A-1")
    take()
    assert leases.ledger.entry("A-1").state == "delivered" and sound(leases.ledger)


@pytest.mark.slow
def test_an_order_that_is_cancelled_meanwhile_leaves_nothing(leases, take, terms, picture):
    leases.ledger.receive(small("A-1", picture), HERE, terms=terms)

    def cancel(done: int, total: int, note: str) -> None:
        if note == "proof":
            leases.ledger.cancel("A-1")

    take(report=cancel)
    assert leases.ledger.entry("A-1").state == "cancelled"
    assert sound(leases.ledger)


def test_a_picture_that_is_gone_is_the_orders_own_fault(leases, take, terms, picture):
    leases.ledger.receive(small("A-1", picture), HERE, terms=terms)
    Path(picture).unlink()
    take()
    entry = leases.ledger.entry("A-1")
    assert entry.state == "failed" and "picture.png" in entry.reason
    assert sound(leases.ledger)


class Outcomes:
    """What becomes of an order whose work ends with an error."""

    @pytest.fixture(autouse=True)
    def received(self, leases):
        leases.ledger.receive(an_order(), HERE, now=0.0)

    @pytest.fixture
    def ends_with(self, monkeypatch, leases):
        def run(error: BaseException) -> str:
            def work(desk, entry):
                raise error

            monkeypatch.setattr(attempts, "work", work)
            attempt(Desk(leases, "w", silent), leases.lease("w"))
            return leases.ledger.entry("A-1").state

        return run


class TestOutcomes(Outcomes):
    def test_a_users_mistake_is_the_reason(self, ends_with, leases):
        assert ends_with(InputError("no such mug")) == "failed"
        assert leases.ledger.entry("A-1").reason == "no such mug"

    def test_a_bug_is_kept_and_named(self, ends_with, leases):
        assert ends_with(ZeroDivisionError("by zero")) == "failed"
        entry = leases.ledger.entry("A-1")
        assert "ZeroDivisionError" in entry.reason
        assert "ZeroDivisionError" in (entry.work / "error.txt").read_text()

    def test_for_want_of_memory_it_is_put_off(self, ends_with, leases):
        assert ends_with(MemoryError()) == "received"
        entry = leases.ledger.entry("A-1")
        assert (entry.worker, entry.attempts) == (None, 1) and "memory" in entry.reason

    def test_with_room_left_a_full_disk_is_that_orders_alone(self, ends_with, leases):
        assert ends_with(OSError(errno.ENOSPC, "No space left on device")) == "received"
        assert leases.ledger.entry("A-1").attempts == 1

    def test_without_room_the_worker_stops(self, ends_with, leases, monkeypatch):
        monkeypatch.setattr(attempts, "has_room", lambda folder: False)
        with pytest.raises(NothingWritable, match="full"):
            ends_with(OSError(errno.ENOSPC, "No space left on device"))
        entry = leases.ledger.entry("A-1")
        assert entry.worker is None and entry.state == "received"

    def test_stopped_it_is_given_back_as_it_is(self, ends_with, leases):
        with pytest.raises(KeyboardInterrupt):
            ends_with(KeyboardInterrupt())
        entry = leases.ledger.entry("A-1")
        assert (entry.worker, entry.attempts, entry.state) == (None, 0, "received")

    def test_a_folder_in_living_hands_is_left_alone(self, ends_with, leases):
        with own_folder(leases.ledger.entry("A-1")):
            assert ends_with(AssertionError("nobody may work here")) == "received"
        assert leases.lease("other") is None, "it rests a moment"
