"""A day's report, from a ledger that workers have written."""

import csv
import io
import json
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from smalti.studio.orders import report, sheet
from smalti.studio.orders.entry import FileFacts
from smalti.studio.orders.leases import Leases
from smalti.studio.orders.ledger import Ledger
from smalti.studio.orders.ticket import Order

TODAY = date.today()


@pytest.fixture
def ledger(tmp_path) -> Ledger:
    found = Ledger(tmp_path / "studio" / "ledger.sqlite")
    yield found
    found.close()


def enter(ledger: Ledger, reference: str, **values) -> None:
    told = {"picture_prompt": "a", "tile_prompts": ("b",), "product": "a4"} | values
    ledger.receive(Order(reference=reference, **told), Path("x"))


def deliver(ledger: Ledger, reference: str, color: tuple[int, int, int], **took) -> None:
    leases = Leases(ledger)
    entry = leases.lease("me")
    assert entry.reference == reference
    leases.record(entry, took, "a lamp", took.pop("joules", None))
    out = leases.reserve(entry, "me", reference)
    out.mkdir(parents=True)
    Image.new("RGB", (400, 200), color).save(out / "proof.jpg")
    for state in ("checked", "drawing", "proof", "printing"):
        leases.enter(entry, "me", state)
    leases.deliver(entry, "me", {"proof.jpg": FileFacts(1, "")}, lambda: None)


@pytest.fixture
def busy(ledger) -> Ledger:
    enter(ledger, "A", customer="王小明", copies=3)
    deliver(ledger, "A", (200, 30, 30), training=60.0, drawing=10.5, printing=2.0, joules=7200.0)
    enter(ledger, "B", customer="=HYPERLINK(1)", copies=2)
    deliver(ledger, "B", (30, 30, 200), drawing=20.0)
    ledger.refuse("C", ["no photos", "no consent"], Path("x"))
    enter(ledger, "D")
    ledger.cancel("D")
    enter(ledger, "E")
    return ledger


def test_sums_are_those_of_the_orders(busy):
    day = report.day_of(busy, TODAY)
    sums = day.sums
    assert [entry.reference for entry in day.entries] == ["A", "B", "C", "D"]
    assert (sums["delivered"], sums["failed"], sums["cancelled"], sums["open"]) == (2, 1, 1, 1)
    assert (sums["training_s"], sums["drawing_s"], sums["printing_s"]) == (60, 30.5, 2)
    assert (sums["copies"], sums["energy_wh"], sums["orders_with_energy"]) == (5, 2, 1)


def test_another_day_is_empty(busy):
    day = report.day_of(busy, TODAY - timedelta(days=1))
    assert day.entries == () and "energy_wh" not in day.sums
    assert json.loads(report.as_json(day))["orders"] == []
    assert len(list(sheet.pages(day, []))) == 1


def test_json_and_csv_say_the_same(busy):
    day = report.day_of(busy, TODAY)
    told = json.loads(report.as_json(day))
    rows = list(csv.DictReader(io.StringIO(report.as_csv(day).lstrip("\ufeff"))))
    assert [row["reference"] for row in rows] == [row["reference"] for row in told["orders"]]
    for row, order in zip(rows, told["orders"], strict=True):
        for name, value in order.items():
            assert row[name].removeprefix("'") == str(value), name
    assert "no consent" in rows[2]["reason"] and rows[0]["customer"] == "王小明"


def test_a_spreadsheet_calculates_no_name(busy):
    assert "'=HYPERLINK" in report.as_csv(report.day_of(busy, TODAY))


def at(paper, x: float, y: float) -> np.ndarray:
    """The pixel at a place in mm."""
    return np.asarray(paper.image.getpixel((round(x / 25.4 * 200), round(y / 25.4 * 200))))


def test_a_page_shows_a_thumbnail_per_order(busy):
    day = report.day_of(busy, TODAY)
    (paper,) = sheet.pages(day, report.sentences(day))
    top = sheet.MARGIN + sheet.HEAD
    for number, color in enumerate([(200, 30, 30), (30, 30, 200), (255, 255, 255)]):
        x = sheet.MARGIN + number * (sheet.WIDTH + sheet.GAP) + 5
        assert np.abs(at(paper, x, top + 5) - color).max() < 12


def test_many_orders_take_more_pages_and_the_pdf_opens(ledger, tmp_path):
    pikepdf = pytest.importorskip("pikepdf")
    pytest.importorskip("img2pdf")
    for number in range(sheet.PER_PAGE + 1):
        ledger.refuse(f"R{number}", ["a reason that is much too long for a card " * 3], Path("x"))
    path = report.write_pdf(report.day_of(ledger, TODAY), tmp_path / "day.pdf")
    with pikepdf.open(path) as document:
        assert len(document.pages) == 2
        width, height = (float(v) / 72 * 25.4 for v in document.pages[0].mediabox[2:])
    assert abs(width - 210) < 0.5 and abs(height - 297) < 0.5
    assert [p.name for p in tmp_path.iterdir() if p.suffix != ".pdf"] == ["studio"]


def test_a_thumbnail_that_cannot_be_read_is_left_out(busy):
    entry = busy.entry("A")
    entry.outputs["proof.jpg"].write_bytes(b"no picture")
    assert sheet.thumbnail(entry, 100) is None
    entry.outputs["proof.jpg"].unlink()
    assert sheet.thumbnail(entry, 100) is None
