"""A day of orders: what was delivered and what failed, how long it took, and what it sums up to."""

import csv
import io
import json
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from typing import Any

from .entry import Entry
from .ledger import Ledger
from .states import CLOSED, DELIVERED

STAGES = ("training", "drawing", "printing")
JOULES_PER_WH = 3600
FORMULAS = ("=", "+", "-", "@", "\t", "\r")
"""What a cell begins with that a spreadsheet would calculate: a customer's name may be one."""


@dataclass(frozen=True)
class Day:
    """What became of the orders that were closed on one day."""

    day: date
    entries: tuple[Entry, ...]
    open: int
    """Orders that are not closed yet, of whatever day."""

    @property
    def rows(self) -> list[dict[str, Any]]:
        """One table row per order, in the order in which they were closed."""
        return [_row(entry) for entry in self.entries]

    @property
    def sums(self) -> dict[str, Any]:
        """Orders by state, copies, seconds by stage, and energy as far as devices told it."""
        states = Counter(entry.state for entry in self.entries)
        made = [e.order.copies for e in self.entries if e.order and e.state == DELIVERED]
        seconds = {f"{stage}_s": _seconds(self.entries, stage) for stage in STAGES}
        energy = [entry.joules for entry in self.entries if entry.joules is not None]
        watt_hours = {"energy_wh": round(sum(energy) / JOULES_PER_WH, 2)} if energy else {}
        return {
            "date": self.day.isoformat(), **{state: states[state] for state in CLOSED},
            "open": self.open, "copies": sum(made), **seconds, **watt_hours,
            "orders_with_energy": len(energy),
        }  # fmt: skip


def day_of(ledger: Ledger, day: date) -> Day:
    """The orders that were delivered, failed or cancelled on a day, by the machine's own clock."""
    closed = sorted(ledger.entries(CLOSED, day), key=lambda entry: entry.changed)
    left = sum(count for state, count in ledger.counts().items() if state not in CLOSED)
    return Day(day, tuple(closed), left)


def _seconds(entries: Iterable[Entry], stage: str) -> float:
    return round(sum(entry.took.get(stage, 0.0) for entry in entries), 1)


def _row(entry: Entry) -> dict[str, Any]:
    order = entry.order
    told = {name: getattr(order, name, "") for name in ("customer", "product", "size", "copies")}
    energy = "" if entry.joules is None else round(entry.joules / JOULES_PER_WH, 3)
    return {
        "reference": entry.reference, "customer": told["customer"], "state": entry.state,
        "reason": entry.reason, "product": told["product"] or told["size"],
        "copies": told["copies"], "received": _time(entry.received), "closed": _time(entry.changed),
        **{f"{stage}_s": round(entry.took.get(stage, 0.0), 1) for stage in STAGES},
        "device": entry.device, "energy_wh": energy, "folder": str(entry.out or ""),
    }  # fmt: skip


def _time(seconds: float) -> str:
    return datetime.fromtimestamp(seconds).isoformat(sep=" ", timespec="seconds")


def as_json(day: Day) -> str:
    """The day as JSON: its sums, and every order."""
    return json.dumps({"sums": day.sums, "orders": day.rows}, indent=2, ensure_ascii=False) + "\n"


def as_csv(day: Day) -> str:
    """The orders of a day as a CSV for spreadsheets; no text in it is taken for a formula."""
    out = io.StringIO()
    writer = csv.DictWriter(out, list(_row_names()), lineterminator="\r\n")
    writer.writeheader()
    writer.writerows({name: _harmless(value) for name, value in row.items()} for row in day.rows)
    return "\ufeff" + out.getvalue()


def _row_names() -> Sequence[str]:
    seconds = (f"{stage}_s" for stage in STAGES)
    return ("reference", "customer", "state", "reason", "product", "copies", "received", "closed",
            *seconds, "device", "energy_wh", "folder")  # fmt: skip


def _harmless(value: Any) -> Any:
    return f"'{value}" if isinstance(value, str) and value.startswith(FORMULAS) else value


def sentences(day: Day) -> list[str]:
    """The sums in words."""
    sums = day.sums
    counts = ", ".join(f"{sums[state]} {state}" for state in (*CLOSED, "open"))
    stages = ", ".join(f"{stage} {sums[f'{stage}_s']:g} s" for stage in STAGES)
    energy = ""
    if "energy_wh" in sums:
        energy = f" Energy: {sums['energy_wh']:g} Wh in {sums['orders_with_energy']} orders."
    return [f"{counts}; {sums['copies']} copies.", f"Time: {stages}.{energy}"]


def write_pdf(day: Day, path: Path) -> Path:
    """Write the day as pages with a thumbnail of each order; raises as `write_papers` does."""
    from ...configs.mosaic import mosaic_settings
    from ...generate.metadata import xmp_packet
    from ..extra import require
    from ..press.paper import write_papers
    from .sheet import pages

    require("pikepdf", "A report in PDF")
    xmp = xmp_packet(mosaic_settings()).encode()
    return write_papers(pages(day, sentences(day)), path, xmp, f"Orders of {day.day}")
