"""The hot folder: what arrives in pieces, what is bad, what stops in between."""

import os
import shutil
import time
from dataclasses import dataclass
from pathlib import Path

import pytest
from customers import order_folder, photo, photos
from PIL import Image
from refusals import refused

from smalti.configs.errors import SmaltiError
from smalti.configs.progress import silent
from smalti.studio.orders.attempt import attempt
from smalti.studio.orders.inbox import Inbox, listening
from smalti.studio.orders.leases import Leases
from smalti.studio.orders.ledger import Ledger
from smalti.studio.orders.sheet import thumbnail
from smalti.studio.orders.terms import Terms
from smalti.studio.orders.work import Desk

QUIET, PATIENCE = 2, 30


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@dataclass
class Shop:
    """A hot folder with its ledger, in which time passes when it is told to."""

    root: Path
    clock: Clock

    def __post_init__(self) -> None:
        self.open()

    def open(self) -> None:
        self.ledger = Ledger(self.root / "ledger.sqlite")
        terms = Terms(concepts_dir=str(self.root / "concepts"))
        self.inbox = Inbox(self.root, self.ledger, terms, quiet=QUIET, patience=PATIENCE,
                           clock=self.clock)  # fmt: skip

    def reopen(self) -> None:
        self.inbox.close()
        self.ledger.close()
        self.open()

    def wait(self, seconds: float) -> None:
        for _ in range(round(seconds * 2)):
            self.inbox.tick()
            self.clock.now += 0.5
        self.inbox.tick()

    def lies(self, place: str) -> list[str]:
        return sorted(path.name for path in (self.root / place).iterdir())

    @property
    def incoming(self) -> Path:
        return self.root / "incoming"

    def end(self, reference: str, state: str, why: str = "") -> None:
        """What a worker would do."""
        with self.ledger.change():
            for step in ("checked", "drawing", "proof", "printing", "delivered"):
                if state != "delivered":
                    break
                self.ledger.move(reference, step)
            else:
                return
            self.ledger.move(reference, state, why=why)


@pytest.fixture
def shop(tmp_path) -> Shop:
    shop = Shop(tmp_path / "hot", Clock())
    yield shop
    shop.inbox.close()
    shop.ledger.close()


def states(shop: Shop) -> dict[str, str]:
    return {entry.reference: entry.state for entry in shop.ledger.entries()}


def test_an_order_goes_its_way(shop):
    order_folder(shop.incoming / "A-1")
    shop.wait(1)
    assert shop.lies("incoming") == ["A-1"] and states(shop) == {}
    shop.wait(2)
    assert shop.lies("working") == ["A-1"] and states(shop) == {"A-1": "received"}
    order = shop.ledger.entry("A-1").order
    assert order.picture == str(shop.root / "working" / "A-1" / "a.png")
    assert Path(order.picture).is_file()
    shop.end("A-1", "delivered")
    shop.wait(2)
    assert (shop.lies("working"), shop.lies("done"), shop.lies("failed")) == ([], ["A-1"], [])


def test_what_is_still_being_copied_is_waited_for(shop):
    whole = order_folder(shop.root / "there" / "A-1")
    slow = shop.incoming / "A-1"
    slow.mkdir()
    shutil.copy(whole / "order.toml", slow)
    shop.wait(6)
    picture = (whole / "a.png").read_bytes()
    for share in range(1, 5):  # longer than it takes for one to be called still
        (slow / "a.png").write_bytes(picture[: len(picture) * share // 5])
        os.utime(slow / "a.png", ns=(share, share))
        shop.wait(6)
        assert states(shop) == {}
    (slow / "a.png").write_bytes(picture)
    shop.wait(4)
    assert states(shop) == {"A-1": "received"}


def test_a_name_of_an_unfinished_copy_is_waited_for(shop):
    folder = order_folder(shop.incoming / "A-1")
    (folder / "b.jpg.part").write_bytes(b"x")
    (shop.incoming / "later.zip.crdownload").write_bytes(b"x")
    shop.wait(10)
    assert states(shop) == {}
    (folder / "b.jpg.part").rename(folder / "b.jpg")
    shop.wait(4)
    assert states(shop) == {"A-1": "received"}
    assert shop.lies("incoming") == ["later.zip.crdownload"]


def test_a_bad_ticket_fails_with_all_its_reasons(shop):
    order_folder(shop.incoming / "A-1", 'copies = 0\nproduct = "postr-30x40"')
    shop.wait(PATIENCE - 1)
    assert shop.lies("incoming") == ["A-1"], "its files may still come"
    shop.wait(2.5)
    assert shop.lies("failed") == ["A-1"] and states(shop) == {"A-1": "failed"}
    reasons = (shop.root / "failed" / "A-1" / "reason.txt").read_text(encoding="utf-8").splitlines()
    assert len(reasons) == 2 and "copies" in reasons[0] and "poster-30x40" in reasons[1]


def test_a_mended_order_may_come_again(shop):
    order_folder(shop.incoming / "A-1", "copies = 0")
    shop.wait(PATIENCE + 3)
    folder = shop.root / "failed" / "A-1"
    order_folder(folder, "copies = 2")
    folder.rename(shop.incoming / "A-1")
    shop.wait(3)
    assert shop.lies("working") == ["A-1"] and shop.lies("failed") == []
    assert shop.ledger.entry("A-1").order.copies == 2
    assert not (shop.root / "working" / "A-1" / "reason.txt").exists()


def test_a_failed_order_is_moved_and_comes_back_when_it_is_tried_again(shop):
    order_folder(shop.incoming / "A-1")
    shop.wait(3)
    shop.end("A-1", "failed", "the lamp broke")
    shop.wait(1)
    assert "the lamp broke" in (shop.root / "failed" / "A-1" / "reason.txt").read_text()
    shop.ledger.retry("A-1")
    shop.wait(1)
    assert shop.lies("working") == ["A-1"] and shop.lies("failed") == []
    assert not (shop.root / "working" / "A-1" / "reason.txt").exists()
    assert Path(shop.ledger.entry("A-1").order.picture).is_file()


def test_a_failed_order_that_is_dropped_again_is_tried_again(shop):
    order_folder(shop.incoming / "A-1")
    shop.wait(3)
    shop.end("A-1", "failed", "no paper")
    shop.wait(1)
    (shop.root / "failed" / "A-1").rename(shop.incoming / "A-1")
    shop.wait(3)
    assert states(shop) == {"A-1": "received"} and shop.lies("working") == ["A-1"]


def test_the_same_dropped_twice_is_one_order_and_another_is_refused(shop):
    order_folder(shop.incoming / "A-1")
    shop.wait(3)
    shop.end("A-1", "delivered")
    shop.wait(1)
    order_folder(shop.incoming / "A-1")
    shop.wait(4)
    assert shop.lies("done") == ["A-1", "A-1 (2)"] and states(shop) == {"A-1": "delivered"}
    order_folder(shop.incoming / "A-1", "copies = 3")
    shop.wait(4)
    assert shop.lies("failed") == ["A-1 (3)"] and shop.ledger.entry("A-1").state == "delivered"
    assert shop.ledger.entry("A-1").order.copies == 1
    assert "A-1" in (shop.root / "failed" / "A-1 (3)" / "reason.txt").read_text()


HEADER = "reference,picture,tile_prompts\n"


def test_a_csv_takes_its_pictures_along(shop):
    (shop.incoming / "day.csv").write_text(f"{HEADER}1,a.png,red\n2,photos/p1.png,red\n")
    shop.wait(5)
    photo(shop.incoming / "a.png")
    photo(shop.incoming / "other.png")
    photos(shop.incoming / "photos")
    shop.wait(3)
    assert states(shop) == {"1": "received", "2": "received"}
    assert shop.lies("working") == ["day"] and shop.lies("incoming") == ["other.png"]
    assert all(Path(e.order.picture).is_file() for e in shop.ledger.entries())
    shop.end("1", "delivered")
    shop.wait(2)
    assert shop.lies("working") == ["day"]
    shop.end("2", "delivered")
    shop.wait(2)
    assert shop.lies("done") == ["day"]


def test_a_csv_waits_for_what_is_copied_beside_it(shop):
    photos(shop.incoming / "photos")
    (shop.incoming / "photos" / "p9.png.part").write_bytes(b"x")
    (shop.incoming / "day.csv").write_text(f"{HEADER}1,photos/p1.png,red\n")
    shop.wait(6)
    assert states(shop) == {}
    (shop.incoming / "photos" / "p9.png.part").unlink()
    shop.wait(4)
    assert states(shop) == {"1": "received"}


def test_a_csv_in_its_folder_and_a_bad_row(shop):
    photo(shop.incoming / "day" / "a.png")
    (shop.incoming / "day" / "list.csv").write_text(f"{HEADER}1,a.png,red\n2,b.png,red\n")
    shop.wait(PATIENCE + 3)
    assert states(shop) == {"1": "received", "2": "failed"}
    shop.end("1", "delivered")
    shop.wait(2)
    reason = (shop.root / "failed" / "day" / "reason.txt").read_text()
    assert reason.startswith("2: ") and "b.png" in reason and len(reason.splitlines()) == 1


def test_a_csv_with_wrong_columns_fails(shop):
    (shop.incoming / "day.csv").write_text("refrence\n1\n")
    shop.wait(PATIENCE + 3)
    assert "refrence" in (shop.root / "failed" / "day" / "reason.txt").read_text()


def test_litter_does_no_harm_and_other_files_are_set_aside(shop):
    folder = order_folder(shop.incoming / "A-1")
    for place in (shop.incoming, folder, shop.root / "working"):
        for name in ("._a.png", ".DS_Store", "Thumbs.db", "desktop.ini", "~$order.toml"):
            (place / name).write_bytes(b"litter")
    (shop.incoming / "@eaDir").mkdir()
    (shop.incoming / "letter.docx").write_bytes(b"x")
    shop.wait(3)
    assert states(shop) == {"A-1": "received"}
    assert shop.lies("unsupported") == ["letter.docx", "letter.docx.reason.txt"]
    shop.end("A-1", "delivered")
    shop.wait(2)
    assert shop.lies("done") == ["A-1"] and "letter.docx" not in shop.lies("incoming")
    shop.reopen()
    assert states(shop) == {"A-1": "delivered"}


def test_pictures_without_a_ticket_are_told_of_after_a_while(shop):
    photos(shop.incoming / "photos")
    photo(shop.incoming / "a.png")
    shop.wait(500)
    assert shop.lies("incoming") == ["a.png", "photos"]
    shop.wait(110)
    assert shop.lies("failed") == ["photos"]
    assert shop.lies("unsupported") == ["a.png", "a.png.reason.txt"]


def stopped_at(call: int, monkeypatch) -> None:
    """The program ends instead of the `call`-th change to a file or to the ledger."""
    left = [call]

    def guarded(function):
        def counted(*args, **kwargs):
            left[0] -= 1
            if left[0] < 0:
                raise KeyboardInterrupt
            return function(*args, **kwargs)

        return counted

    monkeypatch.setattr(Path, "rename", guarded(Path.rename))
    monkeypatch.setattr(os, "replace", guarded(os.replace))
    monkeypatch.setattr(Ledger, "move", guarded(Ledger.move))
    monkeypatch.setattr(Ledger, "receive", guarded(Ledger.receive))


@pytest.mark.parametrize("call", range(14))
def test_a_stop_at_any_moment_loses_nothing_and_does_nothing_twice(shop, monkeypatch, call):
    order_folder(shop.incoming / "A-1")
    order_folder(shop.incoming / "bad", "copies = 0")
    photo(shop.incoming / "b.png")
    (shop.incoming / "day.csv").write_text(f"{HEADER}1,b.png,red\n2,b.png,blue\n")
    with monkeypatch.context() as patch:
        stopped_at(call, patch)
        with pytest.raises(KeyboardInterrupt):
            shop.wait(PATIENCE + 3)
    shop.reopen()
    shop.wait(PATIENCE + 3)
    for reference in ("A-1", "1", "2"):
        shop.end(reference, "delivered")
    shop.wait(2)
    assert states(shop) == dict.fromkeys(("A-1", "1", "2"), "delivered") | {"bad": "failed"}
    assert (shop.lies("done"), shop.lies("failed")) == (["A-1", "day"], ["bad"])
    assert shop.lies("incoming") == shop.lies("working") == []
    received = [event for event in shop.ledger.events() if event.now == "received"]
    assert len(received) == 4


def test_a_full_disk_is_said_and_the_order_stays(shop, monkeypatch):
    order_folder(shop.incoming / "A-1")

    def full(*args, **kwargs):
        raise SmaltiError("full")

    with monkeypatch.context() as patch:
        patch.setattr(Ledger, "receive", full)
        with pytest.raises(SmaltiError):
            shop.wait(3)
    shop.reopen()
    assert states(shop) == {"A-1": "received"}


def test_a_worker_finds_what_was_handed_over(shop):
    order_folder(shop.incoming / "A-1", "priority = 9")
    order_folder(shop.incoming / "B-1", "priority = 1")
    shop.wait(3)
    assert Leases(shop.ledger).lease("somebody").reference == "B-1"


@pytest.mark.parametrize("poll", [False, True])
def test_the_bell_rings_when_something_comes(shop, poll):
    with listening(shop.inbox, poll=poll):
        time.sleep(0.3)
        order_folder(shop.incoming / "A-1")
        assert shop.inbox.rang.wait(10)


def test_a_date_that_is_past_is_said(shop, capsys):
    order_folder(shop.incoming / "A-1", "due = 2020-12-24")
    shop.wait(3)
    assert states(shop) == {"A-1": "received"} and "2020-12-24" in capsys.readouterr().err


def test_a_hot_folder_is_one_processs(shop):
    with refused(str(shop.root)):
        shop.open()


def test_a_picture_that_another_program_holds_is_waited_for(shop, monkeypatch):
    photo(shop.incoming / "a.png")
    photo(shop.incoming / "b.png")
    (shop.incoming / "day.csv").write_text(f"{HEADER}1,a.png,red\n2,b.png,red\n")
    rename = Path.rename

    def held(path: Path, target: Path) -> Path:
        if path == shop.incoming / "b.png":
            raise PermissionError(13, "in use")
        return rename(path, target)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "rename", held)
        shop.wait(5)
        assert shop.lies("incoming") == ["a.png", "b.png", "day.csv"] and states(shop) == {}
    shop.wait(3)
    assert states(shop) == {"1": "received", "2": "received"}


def test_another_ledger_is_told_of_what_is_being_worked_on(shop):
    order_folder(shop.incoming / "A-1")
    order_folder(shop.incoming / "bad", "copies = 0")
    shop.wait(PATIENCE + 3)
    shop.inbox.close()
    shop.ledger.close()
    for path in shop.root.glob("ledger.sqlite*"):
        path.unlink()
    shop.open()
    assert states(shop) == {"A-1": "received"} and shop.lies("failed") == ["bad"]


@pytest.mark.parametrize("name", ["day.xlsx", "photos.zip", "order.toml", "letter.docx"])
def test_a_reason_lies_beside_what_is_set_aside(shop, name):
    (shop.incoming / name).write_bytes(b"x")
    shop.wait(3)
    reason = (shop.root / "unsupported" / f"{name}.reason.txt").read_text()
    assert reason.startswith(name) and len(reason) > len(name) + 10


def test_many_that_come_at_once_are_taken_in_spell_by_spell(shop, monkeypatch):
    for number in range(5):
        order_folder(shop.incoming / f"A-{number}")
    shop.wait(1)
    receive = Ledger.receive

    def slow(*args, **kwargs):
        shop.clock.now += 1.5
        return receive(*args, **kwargs)

    monkeypatch.setattr(Ledger, "receive", slow)
    shop.clock.now += 2
    shop.inbox.tick()
    assert len(states(shop)) == 1
    for _ in range(4):
        shop.inbox.tick()
    assert len(states(shop)) == 5


@pytest.mark.slow
def test_from_the_hot_folder_to_print_files_that_open(shop):
    """On the starter, as a user has it: two orders with photos, and a bad one."""
    pytest.importorskip("pyvips")
    sets = ("steps=2", "guidance_strength=0.3")
    shop.inbox.terms = Terms(overrides=tuple(f"mosaic.{text}" for text in sets))
    order_folder(shop.incoming / "A-1", 'customer = "王小明"\nsize = "3x3cm"\ngrid = "2x2"')
    order_folder(shop.incoming / "A-2", 'size = "3x3cm"\ngrid = "1x1"')
    order_folder(shop.incoming / "bad", 'product = "postr"')
    shop.wait(PATIENCE + 3)
    leases = Leases(shop.ledger)
    desk = Desk(leases, "w", silent)
    for _ in range(2):
        attempt(desk, leases.lease("w"))
    shop.wait(2)
    assert (shop.lies("done"), shop.lies("failed")) == (["A-1", "A-2"], ["bad"])
    entry = shop.ledger.entry("A-1")
    assert entry.out.parent.name == "王小明" and entry.took["drawing"] > 0
    (print_file,) = (path for name, path in entry.outputs.items() if name.endswith(".tif"))
    with Image.open(print_file) as image:
        assert all(abs(side - 36 / 25.4 * 300) <= 2 for side in image.size), "bleed included"
    thumb = thumbnail(entry, 50)
    assert thumb and max(thumb.size) == 50
