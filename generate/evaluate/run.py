"""The evaluation from end to end: references, mosaics, scores, report; it goes on where it was."""

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

from ...configs.settings import CLASSICAL, Settings
from ...models.device import pick_device
from ...models.lpips import Lpips
from ..grid import Grid
from ..plan import duration, plan_mosaic
from ..tiles import TileStore
from .drawing import NO_CONCEPTS, Runner, apart, draw_mosaic, draw_references, is_finished
from .evolution import draw_evolution, is_drawn
from .networks import NETWORKS
from .peers import PEERS, draw_peer
from .pretrained import Judges, find_judges
from .protocol import LPIPS_GUIDED, Job, Protocol
from .report import EVOLUTION, Finished, write_report
from .results import TABLE, Key, Results, claim, is_complete, row_key
from .scores import measure
from .table import MISSING, Cell

Tell = Callable[[str], None]


class Lack(NamedTuple):
    """Why a row is left out."""

    reason: str
    remedy: str


@dataclass(frozen=True)
class Planned:
    """A mosaic that was checked and can be drawn."""

    job: Job
    settings: Settings
    grid: Grid
    identity: dict[str, Any]
    """Everything that the picture depends on, its reference included."""
    key: Key
    folder: Path
    reference: Path
    reference_settings: Settings
    seconds: float
    """A rough estimate of the time that drawing takes."""
    source: "Planned | None" = None
    """For a peer, the mosaic whose pool it takes; settings and grid are that one's."""

    @property
    def parts(self) -> list["Planned"]:
        """What is to be drawn in turn, itself at last."""
        return [*(self.source.parts if self.source else ()), self]

    @property
    def store(self) -> TileStore:
        """Its tiles."""
        return TileStore(self.folder, self.grid)


class Loader:
    """The judges, loaded when the first mosaic is to be measured."""

    def __init__(self, lpips: Path | None) -> None:
        self.lpips = lpips

    @cached_property
    def judges(self) -> Judges:
        """All networks whose weights are here."""
        return find_judges(self.lpips, pick_device())


def evaluate(
    protocol: Protocol,
    jobs: Sequence[Job],
    out: Path,
    *,
    lpips: Path | None = None,
    tell: Tell = print,
    run: Runner = apart,
) -> Path:
    """Draw and measure every mosaic, write tables, plots and sheets; returns report.md.

    What an earlier run with the same protocol finished in `out` is found again: mosaics are not
    drawn twice, and rows are measured again only for weights that were missing then. `tell` gets a
    line per mosaic; `run` calls what draws, in a process of its own by default.

    Raises InputError for bad input and for a folder that holds another evaluation.
    """
    plans, left_out = plan_all(protocol, jobs, out, lpips)
    for label, lack in left_out.items():
        tell(f"Left out: {label} ({lack.reason}; {lack.remedy}).")
    claim(out, protocol, lpips)
    results, loader = Results(out / TABLE), Loader(lpips)
    draw_missing_references(plans, run, tell)
    finished = []
    for number, planned in enumerate(plans, 1):
        scores = finish(planned, results, loader, run)
        tell(f"{number}/{len(plans)}  {planned.job.label}: {_said(scores)}")
        finished.append(Finished(planned.job, planned.store, scores))
    trace(plans, out / EVOLUTION, run)
    reasons = {label: lack.reason for label, lack in left_out.items()}
    return write_report(out, protocol, finished, reasons, tell)


def plan_all(
    protocol: Protocol, jobs: Sequence[Job], out: Path, lpips: Path | None
) -> tuple[list[Planned], dict[str, Lack]]:
    """Check all mosaics; also returns labels of the rows that cannot be made here, and why.

    Raises InputError for settings that cannot work, before anything is drawn, and SmaltiError for a
    peer that does not start.
    """
    if lpips:
        Lpips(lpips, setting="--lpips")  # a bad file must not be noticed after hours of drawing
    one_of_each = {job.row: job for job in jobs}
    lacks = {row: find_lack(protocol, job, lpips) for row, job in one_of_each.items()}
    left_out = {row.label: lack for row, lack in lacks.items() if lack}
    return [plan(protocol, job, out, lpips) for job in jobs if not lacks[job.row]], left_out


def find_lack(protocol: Protocol, job: Job, lpips: Path | None) -> Lack | None:
    """The weights or the program that a mosaic would need and that are nowhere, if any."""
    if job.row.method in PEERS:
        peer = PEERS[job.row.method]
        return None if peer.version() else Lack("not installed", peer.remedy)
    if job.row.variant == LPIPS_GUIDED and not lpips:
        return Lack(MISSING, "give --lpips FILE")
    if job.row.method == "color-adapter":
        base = protocol.settings(job, lpips).base
        if not base.color_adapter:
            known = f"no colour adapter is known for {base.name}"
            return Lack(MISSING, f"{known}; --set base.color_adapter=FOLDER")
    return None


def outline(
    protocol: Protocol, jobs: Sequence[Job], out: Path, lpips: Path | None = None
) -> dict[str, str]:
    """What `evaluate` would do, in words; draws and writes nothing. Raises InputError."""
    plans, left_out = plan_all(protocol, jobs, out, lpips)
    missing = [one for one in plans if not is_finished(one.folder)]
    parts = {part.folder: part for one in missing for part in one.parts}
    absent = [] if lpips else ["LPIPS"]
    absent += [network.title for network in NETWORKS if not network.folder()]
    seconds = sum(part.seconds for part in parts.values() if not is_finished(part.folder))
    return {
        "rows": "; ".join(dict.fromkeys(one.job.row.label for one in plans)),
        "mosaics": f"{len(plans)}, of which {len(missing)} are to be drawn",
        "time": f"about {duration(seconds)} of drawing (a rough estimate)" if missing else "none",
        MISSING: ", ".join(absent),
        "left out": "; ".join(f"{row} ({lack.reason})" for row, lack in left_out.items()) or "none",
    }


def plan(protocol: Protocol, job: Job, out: Path, lpips: Path | None) -> Planned:
    """Check one mosaic's settings and say where it lies; raises InputError."""
    if job.row.method in PEERS:
        return plan_peer(protocol, job, out)
    settings = protocol.settings(job, lpips)
    found = plan_mosaic(settings, concepts_dir=NO_CONCEPTS)
    reference_settings = protocol.reference_settings(job.pair, job.seed)
    reference = plan_mosaic(reference_settings, concepts_dir=NO_CONCEPTS)
    drawn_from = digest(reference.identity)
    identity = {**found.identity, "reference": drawn_from}
    key = row_key(job, digest(identity))
    return Planned(
        job,
        settings,
        found.grid,
        identity,
        key,
        mosaic_folder(out, key),
        out / "references" / f"{job.pair.name}-s{job.seed}-{drawn_from}.png",
        reference_settings,
        found.seconds,
    )


def plan_peer(protocol: Protocol, job: Job, out: Path) -> Planned:
    """The mosaic of a peer: it depends on its version, and on all that `match` depends on."""
    source = plan(protocol, replace(job, row=replace(job.row, method="match")), out, None)
    identity = {**source.identity, "peer": PEERS[job.row.method].version()}
    key = row_key(job, digest(identity))
    return replace(
        source,
        job=job,
        identity=identity,
        key=key,
        folder=mosaic_folder(out, key),
        seconds=0.0,  # next to that of drawing a pool
        source=source,
    )


def mosaic_folder(out: Path, key: Key) -> Path:
    """Where the mosaic of a row lies."""
    pair, seed, method, preset, _, settings = key
    return out / "mosaics" / f"{pair}-s{seed}-{method}-{preset}-{settings}"


def digest(identity: dict[str, Any]) -> str:
    """Eight hex digits of everything that a picture depends on."""
    text = json.dumps(identity, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:8]


def draw_missing_references(plans: Sequence[Planned], run: Runner, tell: Tell) -> None:
    """Draw the references that are not there yet, each once, whatever rows share it."""
    wanted = {p.reference: p.reference_settings for p in plans if not p.reference.is_file()}
    if wanted:
        tell(f"Drawing {len(wanted)} references.")
        run(draw_references, [(settings, path) for path, settings in wanted.items()])


def finish(planned: Planned, results: Results, loader: Loader, run: Runner) -> dict[str, Cell]:
    """Scores of one mosaic; draws and measures it unless that is done already."""
    draw(planned, run)
    scores = results.get(planned.key)
    if scores is None or not is_complete(scores, loader.judges.measurable()):
        scores = measure(planned.store, planned.job.pair.tile, loader.judges)
        scores = results.put(planned.key, scores)
    return scores


def draw(planned: Planned, run: Runner) -> None:
    """Draw a mosaic unless that is done; before a peer's, the one whose pool it takes."""
    if is_finished(planned.folder):
        return
    source = planned.source
    if source is None:
        run(draw_mosaic, planned.settings, planned.folder, planned.reference)
        return
    draw(source, run)
    name, mosaic = planned.job.row.method, planned.settings.mosaic
    draw_peer(name, planned.store, planned.identity, planned.reference, source.store, mosaic)


def trace(plans: Sequence[Planned], path: Path, run: Runner) -> None:
    """Draw how a tile came about in the first pair's mosaics, but for those that place pictures.

    What an earlier run left stays when it shows the same mosaics, and goes when none is drawn.
    """
    first = [one for one in plans if one.job.place == plans[0].job.place]
    drawn = [one for one in first if one.job.row.method not in (*CLASSICAL, *PEERS)]
    wanted = [(one.job.row.label, one.settings, one.folder) for one in drawn]
    if not wanted:
        path.unlink(missing_ok=True)
    elif not is_drawn(wanted, path):
        run(draw_evolution, wanted, path)


def _said(scores: dict[str, Cell]) -> str:
    took = "" if scores["seconds"] is None else f"{scores['seconds']:.1f} s, "
    return (
        f"{took}{scores['psnr_64']:.2f} dB, SSIM {scores['ssim_64']:.3f}, "
        f"starter-CLIP {scores['starter_clip']:.3f}"
    )
