"""`mosaic orders` as a user types it; once for real, on the tiny model, by a worker of its own."""

import csv
import os
import subprocess
import sys
from pathlib import Path

import pytest
from ordering import HERE, an_order, deliver, new_ledger
from PIL import Image
from typer.testing import CliRunner

from smalti.cli import main
from smalti.studio.orders.leases import Leases
from smalti.studio.orders.ledger import Ledger
from smalti.studio.orders.terms import Terms

pytest.importorskip("pyvips")
QUICK = ("mosaic.steps=2", "mosaic.guidance_strength=0.3", "train.steps=1", "train.batch_size=1",
         "train.crops_per_image=1", "train.validation_steps=1")  # fmt: skip


def typed(*words: object):
    command = ["orders", *map(str, words)]
    return CliRunner().invoke(main.app, command, catch_exceptions=False)


def write_table(path: Path, *rows: dict[str, object]) -> Path:
    columns = sorted({name for row in rows for name in row})
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, columns)
        writer.writeheader()
        writer.writerows(rows)
    return path


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "orders"


@pytest.fixture
def ledger(out: Path) -> Ledger:
    return new_ledger(out)


@pytest.mark.slow
def test_a_day_of_three_orders_one_of_them_bad(tmp_path, out, tiny_sd):
    """The real command, with a worker in a process of its own."""
    (tmp_path / "photos").mkdir()
    for number in range(4):
        Image.new("RGB", (80, 72), (60 * number, 90, 200)).save(tmp_path / f"photos/{number}.png")
    table = write_table(
        tmp_path / "day.csv",
        {"reference": "A-1", "customer": "Zoë", "picture": "photos/0.png", "tile_prompts": "a cat",
         "size": "3x3cm", "grid": "2x2"},
        {"reference": "A-2", "concept": "photos", "class_word": "cat", "consent": "yes",
         "picture": "photos/1.png", "grid": "2x2"},
        {"reference": "A-3", "picture": "nothing.png", "tile_prompts": "a cat"},
    )  # fmt: skip
    command = [sys.executable, "-m", "smalti.cli.main", "orders", "run", str(table), "--out",
               str(out), "--base", str(tiny_sd), *(f"--set={text}" for text in QUICK)]  # fmt: skip
    run = subprocess.run(command, capture_output=True, text=True, env={**os.environ})
    assert run.returncode == 1, run.stderr
    assert "nothing.png" in run.stderr and "2 delivered" in run.stdout
    (tif,) = out.glob("out/*/Zoë/*/*.tif")
    with Image.open(tif) as image:
        assert image.size[0] > 300
    (adapter,) = out.glob("work/A-2/concept/*/edlora.safetensors")
    entry = new_ledger(out).entry("A-2")
    assert entry.took.keys() >= {"training", "drawing", "printing"} and adapter.stat().st_size
    assert typed("check", "--out", out).exit_code == 0
    tif.write_bytes(b"")
    checked = typed("check", "--out", out)
    assert checked.exit_code == 1 and tif.name in checked.stdout
    assert typed("show", "A-2", "--out", out).stdout.count("delivered") >= 2


def test_a_dry_run_lists_every_order_and_every_fault(tmp_path, out):
    Image.new("RGB", (64, 64)).save(tmp_path / "a.png")
    table = write_table(
        tmp_path / "day.csv",
        {"reference": "A-1", "picture": "a.png", "tile_prompts": "a cat", "product": "card-10x15",
         "copies": 3},
        {"reference": "A-2", "picture": "b.png", "tile_prompts": "a cat", "copies": 0},
    )  # fmt: skip
    done = typed("run", table, "--dry-run", "--out", out)
    assert done.exit_code == 0 and not out.exists()
    for token in ("A-1", "3 x card-10x15", "b.png", "copies"):
        assert token in done.stdout


@pytest.mark.parametrize(
    ("words", "token"),
    [
        (["run", "nothing.csv"], "nothing.csv"),
        (["run", "nothing.csv", "--base", "sd51"], "sd15"),
        (["run", "nothing.csv", "--preset", "drft"], "draft"),
        (["run", "nothing.csv", "--set", "mosaic.stps=3"], "mosaic.steps"),
        (["run", "nothing.csv", "--name", "{date}"], "reference"),
        (["status"], "ledger.sqlite"),
        (["retry"], "--failed"),
    ],
)
def test_bad_input_is_one_line(tmp_path, words, token):
    done = typed(*words, "--out", tmp_path / "none")
    assert done.exit_code == 2 and done.stdout == ""
    last = done.stderr.strip().splitlines()[-1]
    assert last.startswith("Error: ") and token in last
    assert not (tmp_path / "none").exists()


def test_an_unknown_reference_is_answered_with_the_nearest(out, ledger):
    ledger.receive(an_order("A-1001"), HERE)
    for command in ("show", "cancel", "approve", "retry", "reprint"):
        done = typed(command, "A-1O01", "--out", out)
        assert done.exit_code == 2 and "A-1001" in done.stderr


def test_status_names_what_is_open_and_what_waits(out, ledger):
    leases = Leases(ledger)
    for reference in ("done", "failed", "held", "open"):
        terms = Terms(proof_first=reference == "held")
        ledger.receive(an_order(reference, customer="Zoë"), HERE, terms=terms)
        if reference == "open":
            break
        entry = leases.lease("w")
        if reference == "done":
            deliver(leases, "w", reference)
        elif reference == "failed":
            leases.fail(entry, "w", "no such mug")
        else:
            for state in ("checked", "drawing"):
                leases.enter(entry, "w", state)
            leases.hold(entry, "w")
    told = typed("status", "--out", out).stdout
    assert "no such mug" in told and "open" in told
    assert "done " not in told, "what is delivered is only counted"
    assert str(ledger.entry("held").work / "proof.jpg") in told


def test_cancel_retry_and_approve(out, ledger):
    ledger.receive(an_order("A-1"), HERE)
    assert typed("cancel", "A-1", "--why", "by phone", "--out", out).exit_code == 0
    assert ledger.entry("A-1").reason == "by phone"
    assert typed("retry", "A-1", "--out", out).exit_code == 0
    assert ledger.entry("A-1").state == "received"
    assert typed("approve", "A-1", "--out", out).exit_code == 2
    assert typed("reprint", "A-1", "--out", out).exit_code == 2
    Leases(ledger).fail(Leases(ledger).lease("w"), "w", "broken")
    ledger.refuse("A-2", ["no picture"], HERE)
    assert typed("retry", "--failed", "--out", out).exit_code == 0
    assert ledger.entry("A-1").state == "received" and ledger.entry("A-2").state == "failed"
    assert typed("retry", "A-2", "--out", out).exit_code == 2


def test_help_needs_no_torch():
    code = (
        "import sys; from smalti.cli import main;"
        "from smalti.studio.orders import accept, audit, pool, preview;"
        "assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
