"""`mosaic orders template` and `report` as a user types them."""

import json
from datetime import date
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from smalti.cli import intake
from smalti.studio.orders.ledger import FILE, Ledger
from smalti.studio.orders.reading import read_orders
from smalti.studio.orders.ticket import Order

app = typer.Typer()
for command in (intake.template, intake.watch, intake.report):
    app.command()(command)


def typed(*words: object):
    return CliRunner().invoke(app, [str(word) for word in words], catch_exceptions=False)


def test_the_template_works_as_it_is(tmp_path):
    done = typed("template", tmp_path / "mine", "--concepts-dir", tmp_path / "none")
    assert done.exit_code == 0
    assert all(Path(line).exists() for line in done.stdout.split())
    assert all(isinstance(told, Order) for told, _ in read_orders(tmp_path / "mine"))
    assert typed("template", tmp_path / "mine").exit_code == 2


@pytest.fixture
def out(tmp_path) -> Path:
    ledger = Ledger(tmp_path / "out" / FILE)
    ledger.refuse("C-1", ["no photos"], Path("x"))
    ledger.close()
    return tmp_path / "out"


def test_a_report_in_every_form(out, tmp_path):
    assert "C-1" in typed("report", "--out", out).stdout
    found = json.loads(typed("report", "--out", out, "--format", "json").stdout)
    assert found["sums"]["failed"] == 1
    assert typed("report", "--out", out, "--format", "csv").stdout.startswith("reference,")
    typed("report", "--out", out, "--format", "csv", "--to", tmp_path / "a.csv")
    assert (tmp_path / "a.csv").read_bytes().startswith(b"\xef\xbb\xbfreference,")


def test_a_report_in_pdf_lies_beside_the_ledger(out):
    pytest.importorskip("img2pdf")
    done = typed("report", "--out", out, "--format", "pdf")
    path = Path(done.stdout.strip())
    assert path == out / f"report-{date.today()}.pdf" and path.read_bytes().startswith(b"%PDF")


@pytest.mark.parametrize(
    ("words", "token"),
    [(["--format", "xls"], "xls"), (["--day", "tomorrow"], "tomorrow"), (["--out", "no"], "no")],
)
def test_what_is_refused(out, tmp_path, words, token):
    done = typed("report", "--out", out, *words)
    assert done.exit_code == 2 and token in done.stderr
    assert not (Path("no") / FILE).exists()
