"""One mosaic by several workers: who draws which share, and that the bytes are those of one."""

from pathlib import Path

import pytest
from ordering import HERE, an_order, new_ledger
from PIL import Image

from smalti.configs.loading import resolve
from smalti.configs.progress import silent
from smalti.generate.engine import open_engine
from smalti.generate.grid import Grid
from smalti.generate.mosaic import generate_mosaic
from smalti.studio.orders import splitting
from smalti.studio.orders.board import Board, Offer
from smalti.studio.orders.engines import Engines
from smalti.studio.orders.leases import Leases
from smalti.studio.orders.splitting import DRAWING, Helping, Splitting
from smalti.studio.orders.work import Desk

SHARES = (((0, 0), (0, 1)), ((1, 0),), ((1, 1),))


def an_offer(worker: str = "main", digest: str = "d") -> Offer:
    return Offer("A-1", worker, Path("job"), digest, Path("mosaic"), Grid(2, 2, 64, 8), SHARES)


@pytest.fixture
def dead() -> set[str]:
    return set()


@pytest.fixture
def board(dead) -> Board:
    return Board(lambda worker: worker not in dead)


class TestBoard:
    def test_every_share_is_given_once(self, board):
        board.offer(an_offer())
        own, _ = board.take("d", "main")
        helps = [board.help(name) for name in ("a", "b", "c")]
        assert own == 0 and [h and h.tiles for h in helps] == [((1, 0),), ((1, 1),), None]
        for number in range(3):
            board.finish("d", number)
        assert board.take("d", "main") == (None, {0, 1, 2})

    def test_nobody_helps_himself(self, board):
        board.offer(an_offer())
        assert board.help("main") is None

    def test_who_asks_again_gets_the_same(self, board):
        board.offer(an_offer())
        assert board.help("a").number == board.help("a").number == 0

    def test_what_the_dead_had_is_anybodys(self, board, dead):
        board.offer(an_offer())
        assert board.help("a").number == 0
        dead.add("a")
        assert board.take("d", "main") == (0, set())

    def test_nobody_helps_the_dead(self, board, dead):
        board.offer(an_offer())
        dead.add("main")
        assert board.help("a") is None and board.take("d", "main") is None

    def test_what_one_cannot_draw_is_for_others(self, board):
        board.offer(an_offer())
        board.help("a")
        board.give_back("d", 0, "a", True)
        assert board.help("a").number == 1 and board.help("b").number == 0
        board.give_back("d", 0, "b", False)
        assert board.help("b").number == 0, "one that was stopped may go on"

    def test_a_word_too_late_does_nothing(self, board):
        board.offer(an_offer())
        board.help("a")
        board.withdraw("d")
        board.finish("d", 0)
        board.give_back("d", 0, "a", True)
        assert board.take("d", "main") is None and board.help("a") is None


@pytest.fixture(scope="module")
def settings(tiny_sd: Path, tmp_path_factory):
    photo = tmp_path_factory.mktemp("photo") / "photo.png"
    Image.effect_mandelbrot((64, 64), (-2, -1, 1, 1), 20).convert("RGB").save(photo)
    sets = ("steps=2", "mixed_precision=no", "batch_size=2")
    options = {"mosaic.ref": str(photo), "mosaic.grid": "4x4",
               "mosaic.tile_prompt": ["a cat", "a dog"]}  # fmt: skip
    return resolve(
        base=str(tiny_sd), overrides=tuple(f"mosaic.{text}" for text in sets), options=options
    )


@pytest.fixture(scope="module")
def engine(settings):
    return open_engine(settings.base, settings.mosaic.machine)


@pytest.fixture(scope="module")
def alone(settings, engine, tmp_path_factory) -> dict[str, bytes]:
    """The tiles as one worker draws them."""
    folder = tmp_path_factory.mktemp("alone")
    generate_mosaic(settings, folder, concepts_dir=HERE, progress=silent, engine=engine)
    return tiles_in(folder)


def tiles_in(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in (folder / "tiles").iterdir()}


@pytest.fixture
def desk(tmp_path) -> Desk:
    leases = Leases(new_ledger(tmp_path))
    leases.ledger.receive(an_order(), HERE)
    return Desk(leases, "helper", silent)


@pytest.fixture
def split(settings, engine, board, tmp_path, monkeypatch):
    """Draw the mosaic while, at each of its steps, somebody may do something."""
    monkeypatch.setattr(splitting, "WAIT", 0.0)
    monkeypatch.setattr(splitting, "SEEN_WITHIN", 0.0)

    def run(meanwhile, least: int = 16, check_stop=lambda: None) -> dict[str, bytes]:
        drawer = Splitting(board, "main", least, lambda: "A-1", check_stop)

        def report(done: int, total: int, note: str) -> None:
            assert 0 <= done <= total
            if note == DRAWING:
                meanwhile()

        folder = tmp_path / "mosaic"
        generate_mosaic(
            settings, folder, concepts_dir=HERE, progress=report, engine=engine, drawer=drawer
        )
        assert not list(folder.glob(".*")), "the job's file is gone"
        return tiles_in(folder)

    return run


@pytest.mark.slow
def test_two_workers_draw_the_bytes_of_one(split, alone, board, desk):
    """The helper has an engine of its own; the strength of the pull is measured in parts."""
    helped, helping = set(), Helping(board, "helper")

    def help() -> None:
        if found := board.help("helper"):
            helping(desk, found)
            helped.update(found.tiles)

    assert split(help) == alone and len(alone) == 16
    assert 4 < len(helped) < 16
    assert desk.leases.entry("A-1").took["drawing"] > 0


def test_a_helper_that_dies_or_cannot_costs_nothing(split, alone, board, desk, dead, monkeypatch):
    def fail(*given):
        raise MemoryError

    broken = Desk(desk.leases, "broken", silent, Engines())
    monkeypatch.setattr(broken.engines, "of", fail)

    def hinder() -> None:
        dead.discard("dying")
        board.help("dying")
        dead.add("dying")
        if found := board.help("broken"):
            Helping(board, "broken")(broken, found)

    assert split(hinder) == alone


def test_a_board_that_is_lost_costs_nothing(split, alone, board):
    assert split(lambda: board._states.clear()) == alone


def test_a_small_mosaic_is_not_split(split, alone, board):
    def look() -> None:
        assert not board._states

    assert split(look, least=17) == alone


def test_a_tile_that_a_helper_only_says_it_has_drawn_is_drawn(split, alone, board):
    def lie() -> None:
        if found := board.help("liar"):
            board.finish(found.offer.digest, found.number)

    assert split(lie) == alone


def test_waiting_for_others_can_be_stopped(split, board):
    def hoard() -> None:
        while found := board.help("hoarder"):
            board._states[found.offer.digest].taken[found.number] = "another"

    def stop() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        split(hoard, check_stop=stop)
    assert not board._states


def test_only_the_job_that_was_offered_is_read(tmp_path):
    path = tmp_path / "job"
    path.write_bytes(b"anything else")
    offer = Offer("A-1", "main", path, "0" * 64, tmp_path, Grid(2, 2, 64, 8), SHARES)
    with pytest.raises(ValueError, match="offered"):
        splitting._read(offer)
