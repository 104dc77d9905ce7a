"""One look at all that pages show: what is compared to find what has changed."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ...generate.store import RECORD, REFERENCE
from ...models.concepts import ADAPTER_FILE, WORK_FOLDER, concept_folders
from ...train.earlier import log_path
from ..orders.ledger import FILE
from .desk import Desk
from .drawing import Drawer
from .events import topic
from .works import Works


def look_at(desk: Desk, works: Works, drawer: Drawer) -> dict[str, Any]:
    """What each topic looks like now; cheap: names and times of files only."""
    seen: dict[str, Any] = {}
    about = {work.key: (work.code, work.note) for work in works.all()}
    folders = concept_folders(desk.concepts)
    for folder in folders:
        seen[topic("concept", folder.name)] = (
            *_times(folder), about.get(f"concept/{folder.name}"),
        )  # fmt: skip
    mosaics = desk.mosaic_folders()
    for folder in [*mosaics, *_drafts(desk)]:
        told = tuple(v for k, v in about.items() if k.startswith(f"mosaic/{folder.name}/"))
        seen[topic("mosaic", folder.name)] = (
            _time(folder / RECORD), _time(folder / "tiles"), _time(folder / REFERENCE),
            drawer.state(folder), drawer.fault(folder), told,
        )  # fmt: skip
    ledger = desk.orders / FILE
    seen["orders"] = (
        _time(ledger),
        _time(ledger.with_name(f"{FILE}-wal")),
        about.get("orders"),
    )
    seen["concepts"] = tuple((f.name, _time(f / ADAPTER_FILE)) for f in folders)
    seen["mosaics"] = tuple((f.name, _time(f / "tiles")) for f in mosaics)
    return seen


def _drafts(desk: Desk) -> Iterator[Path]:
    if desk.drafts.is_dir():
        yield from (path for path in desk.drafts.iterdir() if path.is_dir())


def _times(folder: Path) -> tuple[int, ...]:
    work = folder / WORK_FOLDER
    paths = (folder, folder / ADAPTER_FILE, log_path(work), work / "validation")
    return tuple(_time(path) for path in paths)


def _time(path: Path) -> int:
    try:
        return path.stat().st_mtime_ns
    except OSError:
        return 0
