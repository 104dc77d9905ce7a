"""Proofs and sheets: what they show, at which scale, and the panels' locator."""

import csv
import subprocess
from dataclasses import replace

import numpy as np
import pytest
from made_mosaics import canvas_of, large_mosaic
from PIL import Image

from smalti.configs.product import ProductSettings, with_changes
from smalti.studio.press.finished import open_finished
from smalti.studio.press.geometry import panels, product_page
from smalti.studio.press.locator import panel_of, write_locator, write_places
from smalti.studio.press.paper import DPI, Paper
from smalti.studio.press.proof import (
    at_print_scale,
    shrunk,
    usual_print,
    write_proof,
    write_sheet,
)
from smalti.studio.press.provenance import verify

PRODUCT = ProductSettings(width=400, height=300, name="large")


def test_a_proof_is_the_mosaic_in_small(folder, mosaic, tmp_path):
    path = write_proof(mosaic, tmp_path / "proof.jpg")
    with Image.open(path) as image:
        assert image.size == (128, 96) and image.info["icc_profile"]
        assert np.abs(np.asarray(image).astype(int) - canvas_of(folder, 3, 4)).mean() < 3
    assert verify(path)[1]


def test_a_large_mosaic_has_a_proof_of_2000_px(tmp_path):
    mosaic = open_finished(large_mosaic(tmp_path / "m", 10, 20, 128))
    assert shrunk(mosaic, 2000).shape == (1000, 2000, 3)
    assert shrunk(mosaic, 10).shape == (10, 20, 3), "no tile vanishes"


def test_a_word_goes_across_and_leaves_the_corners(mosaic, tmp_path):
    plain = np.asarray(Image.open(write_proof(mosaic, tmp_path / "a.jpg"))).astype(int)
    word = np.asarray(Image.open(write_proof(mosaic, tmp_path / "b.jpg", "PROOF"))).astype(int)
    changed = np.abs(word - plain).max(-1) > 25
    assert changed[30:70, 40:90].mean() > 0.15 and changed.mean() < 0.6
    assert not changed[:8, :8].any(), "it rises from left to right"


def test_arms_length_is_as_large_as_printed(mosaic):
    """A tile of 100 mm is so many pixels of the sheet."""
    found = at_print_scale(mosaic, PRODUCT)
    page = product_page(with_changes(PRODUCT, dpi=DPI, bleed=0), mosaic.grid)
    side = round(104 / 25.4 * DPI)
    assert found.shape == (side, side, 3)
    assert np.diff(page.cols.edges).tolist() == pytest.approx([100 / 25.4 * DPI] * 4, abs=1)
    small = at_print_scale(mosaic, ProductSettings(width=40, height=30))
    assert (small[:, round(40 / 25.4 * DPI) :] == 255).all(), "a small print is not enlarged"


def test_a_sheet_has_a_page_for_each_mosaic(mosaic, tmp_path, read_by):
    pytest.importorskip("pikepdf")
    path = write_sheet([(mosaic, usual_print(mosaic)), (mosaic, PRODUCT)], tmp_path / "proofs.pdf")
    told = read_by("pdfinfo", path)
    assert "Pages:           2" in told and "595" in told and "(A4)" in told
    assert verify(path)[1]
    assert [p.name for p in tmp_path.iterdir()] == ["proofs.pdf"]


def test_the_usual_print_has_tiles_that_can_be_seen(mosaic):
    product = usual_print(mosaic)
    assert product.width == pytest.approx(4 * 13) and product.height == pytest.approx(3 * 13)


def test_the_locator_names_every_panel(mosaic, tmp_path, monkeypatch):
    pytest.importorskip("pikepdf")
    said = []
    real = Paper.text
    monkeypatch.setattr(
        Paper, "text", lambda self, words, *a, **k: said.append(words) or real(self, words, *a, **k)
    )
    product = with_changes(PRODUCT, panels="2x3", dpi=50)
    pages = panels(product_page(product, mosaic.grid), product)
    path = write_locator(mosaic, product, pages, tmp_path / "locator.pdf")
    assert {"A1", "A2", "A3", "B1", "B2", "B3"} <= set(said)
    assert any("133" in line and "150" in line for line in said), "400/3 x 300/2 mm"
    assert verify(path)[1]
    if not subprocess.run(["which", "pdftoppm"], capture_output=True).returncode:
        subprocess.run(["pdftoppm", "-r", "20", path, tmp_path / "page"], check=True)
        assert list(tmp_path.glob("page*"))


def test_each_tile_is_on_the_panel_that_shows_its_middle(mosaic):
    """By hand: 3 x 4 tiles on 2 x 2 panels, whose cuts run at row 1.5 and column 2."""
    product = with_changes(PRODUCT, width=80, height=60, panels="2x2", dpi=50)
    pages = panels(product_page(product, mosaic.grid), product)
    assert [panel_of(pages, row, 1) for row in (0, 2)] == ["A1", "B1"]
    assert [panel_of(pages, 0, col) for col in range(4)] == ["A1", "A1", "A2", "A2"]
    cut = with_changes(product, height=20, panels="1x2")
    assert panel_of(panels(product_page(cut, mosaic.grid), cut), 0, 0) == "", "cut off"


def test_photos_are_listed_with_their_panels(mosaic, tmp_path):
    product = with_changes(PRODUCT, panels="2x2", dpi=50)
    tiles = mosaic.tiles | {"r02_c03": {"photo": "=a, b.jpg", "how": "drawn", "name": "Ann"}}
    path = write_places(
        replace(mosaic, tiles=tiles),
        panels(product_page(product, mosaic.grid), product),
        tmp_path / "list.csv",
    )
    (row,) = csv.DictReader(path.read_text().splitlines())
    assert row == {"file": "=a, b.jpg", "name": "Ann", "row": "3", "col": "4", "how": "drawn",
                   "panel": "B2"}  # fmt: skip
