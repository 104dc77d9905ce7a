"""Photomosaic programs of others: real ones where they are installed, and made-up ones."""

import json
import os
from itertools import product
from pathlib import Path
from unittest.mock import create_autospec

import numpy as np
import pytest
from evaluating import POOL, QUICK, InProcess, ignore, read_rows
from PIL import Image

from smalti.configs.errors import SmaltiError
from smalti.configs.methods import MatchSettings
from smalti.evaluate import report
from smalti.evaluate.drawing import is_finished
from smalti.evaluate.peers import PEERS, draw_peer, read_canvas, run_program
from smalti.evaluate.protocol import PAIRS, Protocol, all_cases, table_rows
from smalti.evaluate.run import evaluate, outline
from smalti.generate.grid import Grid
from smalti.generate.store import Store, read_record

COLORS = ((220, 30, 30), (30, 200, 40), (40, 50, 210), (225, 220, 40), (30, 30, 30),
          (230, 230, 230))  # fmt: skip
# A program that lays the pool's first pictures row by row, and notes each of its runs.
FAKE = """
import json, os, sys
from pathlib import Path
from PIL import Image
with open({log!r}, "a") as log:
    log.write(json.dumps(sys.argv[1:]) + "\\n")
if Path({broken!r}).exists():
    print("[INFO] begun", file=sys.stderr)
    sys.exit("[ERROR] out of paint")
options = dict(zip(sys.argv[3::2], sys.argv[4::2]))
side = int(options["--tile-size"])
with Image.open(sys.argv[2]) as image:
    wide, tall = image.size
files = sorted(Path(options["--tiles"]).iterdir())
number = int(options["--target-tiles"])
cols = round((number * wide / tall) ** 0.5)
result = Image.new("RGB", (cols * side, number // cols * side))
for place in range(number):
    tile = Image.open(files[place % len(files)]).resize((side, side))
    result.paste(tile, (place % cols * side, place // cols * side))
result.save(options["--output"])
"""


class Fake:
    """A made-up mosaicraft, installed before any real one."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch, version: str = "9.9"):
        self.broken, self.log = folder / "broken", folder / "log"
        facts = folder / "site" / f"mosaicraft-{version}.dist-info" / "METADATA"
        facts.parent.mkdir(parents=True)
        facts.write_text(f"Metadata-Version: 2.1\nName: mosaicraft\nVersion: {version}\n")
        program = FAKE.format(log=str(self.log), broken=str(self.broken))
        (folder / "site" / "mosaicraft.py").write_text(program)
        monkeypatch.syspath_prepend(folder / "site")  # where we look for its version
        monkeypatch.setenv("PYTHONPATH", str(folder / "site"), prepend=os.pathsep)

    @property
    def runs(self) -> list[list[str]]:
        return [json.loads(line) for line in self.log.read_text().splitlines()]


@pytest.fixture
def fake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Fake:
    return Fake(tmp_path / "fake", monkeypatch)


@pytest.fixture(autouse=True)
def no_plots(monkeypatch: pytest.MonkeyPatch):
    """They take their time, and show nothing of peers."""
    monkeypatch.setattr(report, "draw_plots", create_autospec(report.draw_plots, return_value=[]))


@pytest.fixture
def protocol(tiny_sd: Path) -> Protocol:
    return Protocol(str(tiny_sd), "1x2", (*QUICK, POOL), "no")


def cases_of(*methods: str):
    return all_cases(PAIRS[:1], [0], table_rows(methods, ["fast"]))


def pixels(path: Path) -> np.ndarray:
    with Image.open(path) as image:
        return np.asarray(image.convert("RGB")).astype(float)


def solid_pool(folder: Path, side: int) -> Store:
    """What a finished `match` mosaic leaves of its pool: one picture of each of COLORS."""
    pool = Store(folder / "pool", Grid(1, len(COLORS), side, side))
    pool.path((0, 0)).parent.mkdir(parents=True)
    for tile, color in zip(pool.grid.tiles, COLORS, strict=True):
        Image.new("RGB", (side, side), color).save(pool.path(tile))
    return Store(folder, Grid(3, 4, side, 16))


def solid_reference(path: Path, grid: Grid) -> np.ndarray:
    """Write a reference of solid blocks near to COLORS, the seed fixed; returns them [r, c, 3]."""
    random = np.random.default_rng(3)
    picks = random.integers(len(COLORS), size=(grid.rows, grid.cols))
    colors = np.asarray(COLORS)[picks] + random.integers(-15, 16, size=(grid.rows, grid.cols, 3))
    image = colors.clip(0, 255).astype(np.uint8)
    Image.fromarray(image.repeat(grid.block, 0).repeat(grid.block, 1)).save(path)
    return image.astype(float)


def nearest_color(color: np.ndarray) -> int:
    return min(range(len(COLORS)), key=lambda i: float(np.square(color - COLORS[i]).sum()))


def placed_colors(store: Store) -> dict[tuple[int, int], np.ndarray]:
    """Mean colour of each stored tile, without the edge that programs may blend."""
    inner = slice(4, store.grid.tile - 4)
    return {t: pixels(store.path(t))[inner, inner].mean((0, 1)) for t in store.grid.tiles}


def made(name: str, tmp_path: Path, **settings) -> tuple[Store, np.ndarray]:
    """A mosaic of solid colours by a real peer, and the colours of its reference's blocks."""
    if not PEERS[name].version():
        pytest.skip(f"{name} is not installed")
    source = solid_pool(tmp_path / "a match $HOME", side=48)
    wanted = solid_reference(tmp_path / "reference.png", source.grid)
    store = Store(tmp_path / name, source.grid)
    mosaic = MatchSettings(**settings)
    draw_peer(name, store, {"peer": name}, tmp_path / "reference.png", source, mosaic)
    return store, wanted


def test_metapixel_places_the_nearest_color(tmp_path: Path):
    store, wanted = made("metapixel", tmp_path, repeat_distance=0)
    for tile, color in placed_colors(store).items():
        assert nearest_color(color) == nearest_color(wanted[tile])
        # It changes no colour but by rounding in its resampling.
        assert np.abs(color - COLORS[nearest_color(color)]).max() <= 3


def test_metapixel_keeps_our_distance_between_repeats(tmp_path: Path):
    """Six pictures are just enough for a distance of one."""
    store, _ = made("metapixel", tmp_path, repeat_distance=1)
    placed = {tile: nearest_color(color) for tile, color in placed_colors(store).items()}
    for (tile, one), (other, two) in product(placed.items(), repeat=2):
        if tile != other and max(abs(tile[0] - other[0]), abs(tile[1] - other[1])) <= 1:
            assert one != two


def test_mosaicraft_follows_the_reference_up_to_tone(tmp_path: Path):
    """Every picture once in four variants: nearest colours are not free, light ones are lighter."""
    store, wanted = made("mosaicraft", tmp_path)
    placed = placed_colors(store)
    own = np.array([placed[tile] for tile in store.grid.tiles]).ravel()
    reference = np.array([wanted[tile] for tile in store.grid.tiles]).ravel()
    assert np.corrcoef(own, reference)[0, 1] > 0.8
    assert pixels(store.folder / "mosaic.png").shape == (*store.grid.canvas_size, 3)


@pytest.mark.slow
def test_a_peer_is_measured_beside_match(protocol, fake: Fake, tmp_path: Path):
    out, here = tmp_path / "out", InProcess()
    cases = cases_of("mosaicraft", "match")
    assert outline(protocol, cases, out)["mosaics"] == "2, of which 2 are to be drawn"
    evaluate(protocol, cases, out, log=ignore, run=here)
    assert here.drawn == ["cat-s0-match-fast"]  # once, before the peer that takes its pool
    assert len(fake.runs) == 1 and "--preset" not in fake.runs[0]
    (folder,) = out.glob("mosaics/*mosaicraft*")
    (match,) = out.glob("mosaics/*match*")
    for number in range(2):  # what the program laid is what is measured
        tile = pixels(folder / "tiles" / f"r00_c0{number}.png")
        assert (tile == pixels(match / "pool" / "tiles" / f"r00_c0{number}.png")).all()
    both = np.hstack([pixels(path) for path in sorted(folder.glob("tiles/*.png"))])
    assert (pixels(folder / "mosaic.png") == both).all()
    assert (folder / "reference.png").read_bytes() == (match / "reference.png").read_bytes()
    peer, own = read_rows(out)
    assert (peer["method"], own["method"]) == ("mosaicraft", "match")
    assert peer["correction_energy"] == peer["peak_gib"] == "" and float(peer["seconds"]) > 0
    assert float(peer["psnr_64"]) > 0 and float(own["seconds"]) > 0
    text = (out / "report.md").read_text()
    assert "Made by mosaicraft 9.9," in text and "| – |" in text

    again = InProcess()
    table = (out / "results.csv").read_bytes()
    evaluate(protocol, cases, out, log=ignore, run=again)
    assert again.drawn == [] and len(fake.runs) == 1
    assert (out / "results.csv").read_bytes() == table


@pytest.mark.slow
def test_a_small_pool_is_taken_again(tiny_sd: Path, fake: Fake, tmp_path: Path):
    """Two pictures in four variants are too few for nine tiles that differ."""
    more = ("mosaic.pool_size=2", "mosaic.repeat_distance=0")
    protocol = Protocol(str(tiny_sd), "3x3", (*QUICK, *more), "no")
    evaluate(protocol, cases_of("mosaicraft"), tmp_path / "out", log=ignore, run=InProcess())
    assert fake.runs[0][-2:] == ["--preset", "fast"]


def test_a_peer_that_fails_says_why_and_is_made_again(protocol, fake: Fake, tmp_path: Path):
    out, here = tmp_path / "out", InProcess()
    fake.broken.touch()
    with pytest.raises(SmaltiError) as raised:
        evaluate(protocol, cases_of("mosaicraft"), out, log=ignore, run=here)
    for token in ("mosaicraft", "exit code 1", "out of paint"):
        assert token in str(raised.value)
    assert not any(out.glob("mosaics/*mosaicraft*")) and here.drawn == ["cat-s0-match-fast"]
    fake.broken.unlink()
    evaluate(protocol, cases_of("mosaicraft"), out, log=ignore, run=here)
    assert len(here.drawn) == 1 and len(fake.runs) == 2 and len(read_rows(out)) == 1


@pytest.mark.slow
def test_an_interrupted_peer_leaves_nothing_half(
    protocol, fake: Fake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    out = tmp_path / "out"
    update = Store.update

    def interrupted(self, **facts):
        if "placed by" in facts.get("state", ""):
            raise KeyboardInterrupt
        update(self, **facts)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(Store, "update", interrupted)
        evaluate(protocol, cases_of("mosaicraft"), out, log=ignore, run=InProcess())
    assert [path.name.split("-")[2] for path in (out / "mosaics").iterdir()] == ["match"]
    evaluate(protocol, cases_of("mosaicraft"), out, log=ignore, run=InProcess())
    (folder,) = out.glob("mosaics/*mosaicraft*")
    assert is_finished(folder) and read_record(folder)["state"] == "placed by mosaicraft 9.9"


def test_what_is_not_installed_is_left_out(
    protocol, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("PATH", str(tmp_path))
    said: list[str] = []
    cases, out = cases_of("match", "metapixel"), tmp_path / "out"
    assert outline(protocol, cases, out)["left out"].startswith("metapixel, fast")
    evaluate(protocol, cases, out, log=said.append, run=InProcess())
    assert "metapixel, fast" in said[0] and "apt install metapixel" in said[0]
    assert "metapixel, fast" in (out / "report.md").read_text()
    assert [row["method"] for row in read_rows(out)] == ["match"]


@pytest.mark.slow
def test_another_version_is_another_row(fake: Fake, protocol, tmp_path: Path, monkeypatch):
    out = tmp_path / "out"
    evaluate(protocol, cases_of("mosaicraft"), out, log=ignore, run=InProcess())
    newer, here = Fake(tmp_path / "newer", monkeypatch, "10.0"), InProcess()
    evaluate(protocol, cases_of("mosaicraft"), out, log=ignore, run=here)
    assert here.drawn == [] and len(newer.runs) == 1 and len(read_rows(out)) == 2
    assert "Made by mosaicraft 10.0," in (out / "report.md").read_text()


def test_programs_that_do_not_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "metapixel").write_text(f"#!{tmp_path}/gone\n")
    (tmp_path / "metapixel").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    grid = Grid(1, 2, 32, 16)
    Image.new("RGB", (64, 33)).save(tmp_path / "odd.png")
    for broken, tokens in (
        (PEERS["metapixel"].version, ["metapixel"]),
        (lambda: run_program("sh", ["/bin/sh", "-c", "exit 3"], tmp_path), ["sh", "exit code 3"]),
        (lambda: read_canvas("metapixel", tmp_path / "none.png", grid), ["metapixel", "none.png"]),
        (lambda: read_canvas("metapixel", tmp_path / "odd.png", grid), ["64x33", "64x32"]),
    ):
        with pytest.raises(SmaltiError) as raised:
            broken()
        assert all(token in str(raised.value) for token in tokens)
