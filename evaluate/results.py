"""An evaluation's folder: whose it is, and the rows that are measured already."""

import csv
import io
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ..configs.claim import check_claim
from ..configs.errors import InputError
from ..configs.files import file_hash, read_json, write_json, write_text
from ..configs.tables import full_name, known_facts
from ..generate.store import Store
from ..models.device import pick_device, resolve_precision
from ..models.metrics import RESOLUTIONS
from .protocol import PAIRS, Case, Protocol, parse_overrides
from .table import COSTS, MISSING, MOSAIC, PYRAMID, TILES, Cell

RECORD = "evaluation.json"
TABLE = "results.csv"
FORMAT = 2  # of evaluation.json
AUTO = "auto"
KEYS = ("pair", "seed", "method", "preset", "variant", "settings")
SCORES = (
    *(f"{metric}_{side}" for metric in ("psnr", "ssim", "lpips") for side in RESOLUTIONS),
    *(column.name for column in (*PYRAMID, *MOSAIC, *TILES, *COSTS)),
)

Key = tuple[str, ...]


@dataclass(frozen=True)
class Measured:
    """A mosaic that is drawn and measured."""

    case: Case
    store: Store
    scores: Mapping[str, Cell]


def at_one_precision(protocol: Protocol, folder: Path) -> Protocol:
    """The protocol with its precision: that of the evaluation in `folder`, else this machine's.

    An override that names one wins, and `claim` refuses it where the folder has another.
    """
    wanted = protocol.reference_settings(PAIRS[0], 0).mosaic.machine.mixed_precision
    if wanted == AUTO:
        wanted = (read_json(folder / RECORD) or {}).get("precision", AUTO)
    return replace(protocol, precision=resolve_precision(wanted, pick_device()))


def claim(folder: Path, protocol: Protocol, lpips: Path | None) -> None:
    """Make a folder this evaluation's own, or make sure that it is already.

    Raises InputError when something else lies there, or an evaluation with another base, grid,
    precision, further settings or LPIPS weights.
    """
    if folder.exists() and not folder.is_dir():
        raise InputError(f"{folder} is a file; give --out the name of a folder.")
    old = read_json(folder / RECORD)
    if old is None and folder.is_dir() and any(folder.iterdir()):
        raise InputError(
            f"{folder} holds something that is no evaluation; give --out a new or empty folder."
        )
    now = identity(protocol, lpips)
    if old is not None:
        check_claim(
            old,
            now,
            what=f"{folder} holds an evaluation",
            remedy="Choose another folder with --out, or repeat the old options.",
            defaults={"lpips": now.get("lpips")},  # weights may come later
        )
    write_json(folder / RECORD, {"format": FORMAT, **(old or {}), **now})


def identity(protocol: Protocol, lpips: Path | None) -> dict[str, Any]:
    """What all mosaics of an evaluation and their scores depend on."""
    overrides = {
        full_name(section, name): value
        for section, values in parse_overrides(protocol.overrides).items()
        for name, value in values.items()
        if known_facts(section)[name].identity  # one may run out of memory and go on smaller
    }
    facts = {"base": protocol.base, "grid": protocol.grid, "precision": protocol.precision}
    weights = {"lpips": file_hash(lpips)[:16]} if lpips else {}
    return {**facts, "overrides": overrides, **weights}


class Results:
    """The rows of results.csv, one per mosaic; the file is whole after every `put`."""

    def __init__(self, path: Path) -> None:
        """Read the file if it is there; raises InputError when its columns are others."""
        self.path = path
        self._rows: dict[Key, dict[str, Cell]] = {}
        if path.is_file():
            self._read()

    def get(self, key: Key) -> dict[str, Cell] | None:
        """Scores of a mosaic, None when it is not measured yet."""
        return self._rows.get(key)

    def put(self, key: Key, scores: Mapping[str, Cell]) -> dict[str, Cell]:
        """Add or replace a row and write the file; returns the scores as the file has them."""
        self._rows[key] = {name: _value(_text(scores[name])) for name in SCORES}
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow((*KEYS, *SCORES))
        for row, cells in self._rows.items():
            writer.writerow((*row, *(_text(cells[name]) for name in SCORES)))
        write_text(self.path, text.getvalue())
        return self._rows[key]

    def _read(self) -> None:
        with self.path.open(encoding="utf-8", newline="") as file:
            header, *rows = list(csv.reader(file)) or [[]]
        columns = [*KEYS, *SCORES]
        if header != columns or any(len(row) != len(columns) for row in rows):
            raise InputError(
                f"{self.path} has other columns than this version writes. Move it away and repeat "
                "the command; mosaics are not drawn again."
            )
        for row in rows:
            scores = map(_value, row[len(KEYS) :])
            self._rows[tuple(row[: len(KEYS)])] = dict(zip(SCORES, scores, strict=True))


def row_key(case: Case, digest: str) -> Key:
    """What a row is found by; digest: of the settings that the mosaic depends on."""
    row = case.row
    return (case.pair.name, str(case.seed), row.method, row.preset, row.variant, digest)


def is_complete(scores: Mapping[str, Cell], measurable: set[str]) -> bool:
    """Whether nothing is said to be missing that could be measured by now."""
    return not any(scores[name] == MISSING for name in measurable)


def _text(cell: Cell) -> str:
    if cell is None:
        return ""
    return cell if isinstance(cell, str) else f"{cell:.6g}"


def _value(text: str) -> Cell:
    try:
        return float(text)
    except ValueError:
        return text or None
