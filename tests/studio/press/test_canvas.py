"""Pixels of a page: tiles scaled one by one, mirrored bleed, panels that fit together."""

from dataclasses import replace

import numpy as np
import pytest
from made_mosaics import canvas_of, made_mosaic
from PIL import Image
from refusals import refused

from smalti.configs.product import ProductSettings, with_changes
from smalti.studio.press import canvas
from smalti.studio.press.canvas import strips, whole
from smalti.studio.press.finished import open_finished
from smalti.studio.press.geometry import (
    PAPER,
    mirrored,
    native_page,
    panel_cuts,
    panels,
    plain_page,
    product_page,
)

PRODUCT = ProductSettings(width=80, height=60, bleed=5, dpi=100, name="test")


def enlarged(folder, rows: int, cols: int, height: int, width: int) -> np.ndarray:
    """Every tile by itself through Pillow's Lanczos, put together."""
    down = [round(k * height / rows) for k in range(rows + 1)]
    across = [round(k * width / cols) for k in range(cols + 1)]
    lines = []
    for row in range(rows):
        line = []
        for col in range(cols):
            size = (across[col + 1] - across[col], down[row + 1] - down[row])
            with Image.open(folder / f"tiles/r{row:02d}_c{col:02d}.png") as tile:
                line.append(np.asarray(tile.resize(size, Image.Resampling.LANCZOS)))
        lines.append(np.concatenate(line, axis=1))
    return np.concatenate(lines)


def test_the_native_page_is_the_mosaic_itself(mosaic, folder):
    assert np.array_equal(whole(mosaic, native_page(mosaic.grid)), canvas_of(folder, 3, 4))


@pytest.mark.parametrize("size", [(400, 301), (97, 50)])
@pytest.mark.parametrize("strip", [256, 7])
def test_tiles_are_scaled_one_by_one(mosaic, folder, size, strip, monkeypatch):
    monkeypatch.setattr(canvas, "STRIP", strip)
    found = whole(mosaic, plain_page(mosaic.grid, *size))
    wanted = enlarged(folder, 3, 4, size[1], size[0])
    assert found.shape == wanted.shape
    off = np.abs(found.astype(int) - wanted)
    assert off.max() <= 2 and off.mean() < 0.2, "Pillow's boxes are in single precision"


def test_flat_tiles_stay_flat_up_to_their_edges(tmp_path):
    def flat(row, col, side):
        return np.full((side, side, 3), 40 + 170 * ((row + col) % 2), np.uint8)

    mosaic = open_finished(made_mosaic(tmp_path / "board", 2, 2, 32, flat))
    assert set(np.unique(whole(mosaic, plain_page(mosaic.grid, 333, 333)))) == {40, 210}


def test_the_bleed_is_the_outer_tiles_mirrored(mosaic, folder):
    page = product_page(PRODUCT, mosaic.grid)
    bleed, height, width = round(5 / 25.4 * 100), round(60 / 25.4 * 100), round(80 / 25.4 * 100)
    assert page.size == (width + 2 * bleed, height + 2 * bleed)
    trimmed = enlarged(folder, 3, 4, height, width)
    around = ((bleed, bleed), (bleed, bleed), (0, 0))
    wanted = np.pad(trimmed, around, mode="symmetric")
    assert np.abs(whole(mosaic, page).astype(int) - wanted).max() <= 1


def test_the_picture_itself_may_fill_the_bleed(mosaic, folder):
    page = product_page(with_changes(PRODUCT, edge="picture"), mosaic.grid)
    (width, height), bleed = page.size, page.cols.trim[0]
    assert bleed == round(5 / 25.4 * 100)
    # The outer tiles are cut, none is mirrored: places rise by one.
    assert (np.diff(page.cols.places) == 1).all() and (np.diff(page.rows.places) == 1).all()
    scale = max(width / 4, height / 3)
    full = enlarged(folder, 3, 4, round(3 * scale), round(4 * scale))
    top, left = page.rows.places[0], page.cols.places[0]
    wanted = full[top : top + height, left : left + width]
    assert np.abs(whole(mosaic, page).astype(int) - wanted).max() <= 1


def test_another_aspect_is_cut_off_evenly(mosaic):
    page = product_page(with_changes(PRODUCT, width=60, bleed=0), mosaic.grid)
    assert page.size == (236, 236)
    left, right = page.cols.places[0], page.cols.edges[-1] - 1 - page.cols.places[-1]
    assert abs(left - right) <= 1 and left > 0
    assert page.rows.places[0] == 0 and page.rows.places[-1] == page.rows.edges[-1] - 1


@pytest.mark.parametrize("length", [1, 5, 8])
def test_mirroring_goes_on_for_ever(length):
    row = np.arange(length)
    wanted = np.pad(row, 23, mode="symmetric")
    assert np.array_equal(mirrored(np.arange(-23, length + 23), length), wanted)


@pytest.mark.parametrize("split", ["2x2", "1x3"])
def test_panels_show_the_page_between_their_cuts(mosaic, split):
    page = product_page(PRODUCT, mosaic.grid)
    sheet = whole(mosaic, page)
    product = with_changes(PRODUCT, panels=split, overlap=4)
    rows, cols = map(int, split.split("x"))
    found = panels(page, product)
    assert [panel.name for panel in found[:2]] == ["A1", "A2"] and len(found) == rows * cols
    lines = []
    for row in range(rows):
        line = [cut_out(mosaic, panel) for panel in found[row * cols : (row + 1) * cols]]
        lines.append(np.concatenate(line, axis=1))
    joined = np.concatenate(lines)
    top, left = page.rows.trim[0], page.cols.trim[0]
    wanted = sheet[top : page.rows.trim[1], left : page.cols.trim[1]]
    assert np.array_equal(joined, wanted)


def cut_out(mosaic, panel) -> np.ndarray:
    pixels = whole(mosaic, panel)
    return pixels[slice(*panel.rows.trim), slice(*panel.cols.trim)]


def test_panels_overlap_and_carry_cut_marks_on_white(mosaic):
    page = product_page(PRODUCT, mosaic.grid)
    product = with_changes(PRODUCT, panels="2x2", overlap=4)
    panel = panels(page, product)[0]
    overlap, bleed = round(4 / 25.4 * 100), round(5 / 25.4 * 100)
    assert panel.cols.bleed[1] - panel.cols.trim[1] == overlap
    assert panel.cols.trim[0] - panel.cols.bleed[0] == bleed
    pixels = whole(mosaic, panel)
    paper = pixels[: panel.rows.bleed[0]]
    assert set(np.unique(paper)) == {0, 255}
    dark = np.flatnonzero((paper == 0).all(-1).any(0))
    assert {panel.cols.trim[0], panel.cols.trim[1]} <= set(dark + 0) | set(dark + 1)
    plain = whole(mosaic, replace(panel, ink=()))
    inside = np.s_[slice(*panel.rows.bleed), slice(*panel.cols.bleed)]
    assert np.array_equal(pixels[inside], plain[inside]), "no mark on the picture"
    assert (plain[: panel.rows.bleed[0]] == 255).all()
    assert (panel.rows.places[:3] == PAPER).all()
    assert panel_cuts(page.cols, 2)[1] == page.cols.trim[0] + round(round(80 / 25.4 * 100) / 2)


@pytest.mark.parametrize("text", ["", "2", "0x2", "2x27", "axb", "2x2x2"])
def test_what_is_no_split_is_refused(mosaic, text):
    with refused("panels"):
        panels(product_page(PRODUCT, mosaic.grid), with_changes(PRODUCT, panels=text))


def test_strips_are_low_and_report_how_far_they_are(mosaic):
    heard = []
    page = plain_page(mosaic.grid, 40, 3000)
    heights = [len(s) for s in strips(mosaic, page, lambda *words: heard.append(words[:2]))]
    assert max(heights) <= 256 and sum(heights) == 3000
    assert heard[-1] == (3000, 3000) and heard == sorted(heard)
