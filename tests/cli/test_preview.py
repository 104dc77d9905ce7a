"""The mosaic in the terminal: its characters' colours are the pixels of what lies in the folder."""

import io
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from rich.console import Console

from smalti.cli.preview import DIMMED, SIDE, Preview, half_blocks, preview_of
from smalti.configs.progress import reporting
from smalti.generate.grid import Grid

GRID = Grid(rows=2, cols=3, tile=32, block=8)
CELL = SIDE // 3


def pixels(text) -> np.ndarray:
    """The pixels [H, W, 3] that half blocks stand for, read off their styles one by one."""
    rows = []
    for line in text.split("\n"):
        styles = [line.get_style_at_offset(Console(), place) for place in range(len(line))]
        rows.append([style.color.triplet for style in styles])
        if styles[0].bgcolor:
            rows.append([style.bgcolor.triplet for style in styles])
    return np.array(rows)


@pytest.mark.parametrize("height", [1, 2, 5])
def test_half_blocks_hold_every_pixel(height: int):
    picture = np.random.default_rng(0).integers(0, 256, (height, 3, 3), dtype=np.uint8)
    assert np.array_equal(pixels(half_blocks(Image.fromarray(picture))), picture)


def test_tiles_appear_where_they_belong_on_the_dimmed_reference(tmp_path: Path):
    preview = Preview(tmp_path, GRID)
    assert not pixels_of(preview)
    Image.new("RGB", (24, 16), (200, 100, 100)).save(tmp_path / "reference.png")
    gray = int(DIMMED * (0.299 * 200 + 0.587 * 100 + 0.114 * 100))  # ITU-R BT.601's luma
    first = pixels(preview())
    assert first.shape == (2 * CELL, 3 * CELL, 3) and abs(first.astype(int) - gray).max() <= 1
    (tmp_path / "tiles").mkdir()
    Image.new("RGB", (32, 32), (10, 200, 30)).save(tmp_path / "tiles" / "r01_c02.png")
    then = pixels(preview())
    assert (then[CELL:, 2 * CELL :] == (10, 200, 30)).all()
    assert np.array_equal(then[:CELL], first[:CELL])


def pixels_of(preview: Preview) -> str:
    """What a preview prints."""
    console = Console(file=io.StringIO(), width=80)
    console.print(preview())
    return console.file.getvalue().strip()  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("grid", "environment"),
    [
        (GRID, {"TERM": "dumb"}),
        (GRID, {"COLUMNS": "30"}),
        (GRID, {"LINES": "20"}),
        (Grid(rows=4, cols=SIDE + 1, tile=32, block=8), {}),
    ],
)
def test_what_cannot_show_it_shows_none(grid, environment, tmp_path: Path, monkeypatch):
    usual = {"TERM": "xterm-256color", "COLUMNS": "100", "LINES": "50", "FORCE_COLOR": "1"}
    for name, value in {**usual, **environment}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(sys, "stderr", io.TextIOWrapper(io.BytesIO(), encoding="utf-8"))
    monkeypatch.delenv("NO_COLOR", raising=False)
    assert preview_of(tmp_path, grid) is None
    for name, value in usual.items():
        monkeypatch.setenv(name, value)
    assert preview_of(tmp_path, GRID) is not None


def test_the_picture_stands_above_the_bar(monkeypatch):
    stream = io.StringIO()
    stream.isatty = lambda: True  # type: ignore[method-assign]
    monkeypatch.setattr(sys, "stderr", stream)
    with reporting(None, "mosaic", above=lambda: "PICTURE") as report:
        report(1, 2, "drawing")
    shown = stream.getvalue()
    assert shown.rindex("PICTURE") < shown.rindex("drawing")
