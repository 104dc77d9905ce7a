"""An evaluation's folder: whose it is, and the rows that are measured already."""

import csv
import io
import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

from ...configs.errors import InputError
from ...configs.files import file_hash, write_text
from ..files import read_json, write_json
from ..plan import NOT_IN_PICTURE
from .metrics import RESOLUTIONS
from .protocol import Job, Protocol, setting_name
from .table import COSTS, MISSING, PYRAMID, TILES, Cell

RECORD = "evaluation.json"
TABLE = "results.csv"
FORMAT = 1  # of evaluation.json
KEYS = ("pair", "seed", "method", "preset", "variant", "settings")
SCORES = (
    *(f"{metric}_{side}" for metric in ("psnr", "ssim", "lpips") for side in RESOLUTIONS),
    *(column.name for column in (*PYRAMID, *TILES, *COSTS)),
)

Key = tuple[str, ...]


def claim(folder: Path, protocol: Protocol, lpips: Path | None) -> None:
    """Make a folder this evaluation's own, or make sure that it is already.

    Raises InputError when something else lies there, or an evaluation with another base, grid,
    further settings or LPIPS weights.
    """
    if folder.exists() and not folder.is_dir():
        raise InputError(f"{folder} is a file; give --out the name of a folder.")
    old = read_json(folder / RECORD)
    if old is None and folder.is_dir() and any(folder.iterdir()):
        raise InputError(
            f"{folder} holds something that is no evaluation; give --out a new or empty folder."
        )
    new = json.loads(json.dumps({**asdict(protocol), "overrides": _in_pictures(protocol)}))
    if lpips:
        new["lpips"] = file_hash(lpips)[:16]
    if old is None:
        old = {"format": FORMAT}
    elif changed := [name for name in new if name != "lpips" and old.get(name) != new[name]]:
        raise InputError(_other(folder, changed[0], old.get(changed[0]), new[changed[0]]))
    elif "lpips" in old and new.get("lpips", old["lpips"]) != old["lpips"]:
        raise InputError(_other(folder, "LPIPS weights", old["lpips"], new["lpips"]))
    write_json(folder / RECORD, {**old, **new})


def _in_pictures(protocol: Protocol) -> list[str]:
    """The further settings that change pictures: one may run out of memory and go on smaller."""
    free = {f"mosaic.{name}" for name in NOT_IN_PICTURE}
    return [text for text in protocol.overrides if setting_name(text) not in free]


def _other(folder: Path, name: str, old: object, new: object) -> str:
    return (
        f"{folder} holds another evaluation ({name}: {old!r}, now {new!r}). Choose another folder "
        "with --out, or repeat the old options."
    )


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


def row_key(job: Job, digest: str) -> Key:
    """What a row is found by; digest: of the settings that the mosaic depends on."""
    row = job.row
    return (job.pair.name, str(job.seed), row.method, row.preset, row.variant, digest)


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
