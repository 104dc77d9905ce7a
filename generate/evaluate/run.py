"""The evaluation from end to end: references, mosaics, scores, report; it goes on where it was."""

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from ...configs.settings import CLASSICAL, Settings
from ...models.device import pick_device
from ...models.lpips import Lpips
from ..grid import Grid
from ..plan import duration, plan_mosaic
from ..tiles import TileStore
from .drawing import NO_CONCEPTS, Runner, apart, draw_mosaic, draw_references, is_finished
from .evolution import draw_evolution
from .pretrained import BLIP_ID, CLIP_ID, Judges, cached, find_judges
from .protocol import LPIPS_GUIDED, Job, Protocol
from .report import EVOLUTION, Finished, write_report
from .results import TABLE, Key, Results, claim, is_complete, row_key
from .scores import measure
from .table import Cell

Tell = Callable[[str], None]


@dataclass(frozen=True)
class Planned:
    """A mosaic that was checked and can be drawn."""

    job: Job
    settings: Settings
    grid: Grid
    key: Key
    folder: Path
    reference: Path
    reference_settings: Settings
    seconds: float
    """A rough estimate of the time that drawing takes."""

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
    for label, remedy in left_out.items():
        tell(f"Left out: {label} (weights missing; {remedy}).")
    claim(out, protocol, lpips)
    results, loader = Results(out / TABLE), Loader(lpips)
    draw_missing_references(plans, run, tell)
    finished = []
    for number, planned in enumerate(plans, 1):
        scores = finish(planned, results, loader, run)
        tell(f"{number}/{len(plans)}  {planned.job.label}: {_said(scores)}")
        finished.append(Finished(planned.job, planned.store, scores))
    trace(plans, out / EVOLUTION, run)
    return write_report(out, protocol, finished, list(left_out), tell)


def plan_all(
    protocol: Protocol, jobs: Sequence[Job], out: Path, lpips: Path | None
) -> tuple[list[Planned], dict[str, str]]:
    """Check all mosaics; also returns the rows for which weights are missing, and what to do.

    Raises InputError for settings that cannot work, before anything is drawn.
    """
    if lpips:
        Lpips(lpips, setting="--lpips")  # a bad file must not be noticed after hours of drawing
    one_of_each = {job.row: job for job in jobs}
    remedies = {row: missing_weights(protocol, job, lpips) for row, job in one_of_each.items()}
    left_out = {row.label: remedy for row, remedy in remedies.items() if remedy}
    return [plan(protocol, job, out, lpips) for job in jobs if not remedies[job.row]], left_out


def missing_weights(protocol: Protocol, job: Job, lpips: Path | None) -> str:
    """What to do about weights that a mosaic would need and that are nowhere; empty if none."""
    if job.row.variant == LPIPS_GUIDED and not lpips:
        return "give --lpips FILE"
    if job.row.method == "color-adapter":
        base = protocol.settings(job, lpips).base
        if not base.color_adapter:
            return f"no colour adapter is known for {base.name}; --set base.color_adapter=FOLDER"
    return ""


def outline(
    protocol: Protocol, jobs: Sequence[Job], out: Path, lpips: Path | None = None
) -> dict[str, str]:
    """What `evaluate` would do, in words; draws and writes nothing. Raises InputError."""
    plans, left_out = plan_all(protocol, jobs, out, lpips)
    missing = [one for one in plans if not is_finished(one.folder)]
    here = {"LPIPS": lpips, "CLIP and IQA": cached(CLIP_ID), "BLIP": cached(BLIP_ID)}
    absent = [name for name, file in here.items() if not file]
    seconds = sum(one.seconds for one in missing)
    return {
        "rows": "; ".join(dict.fromkeys(one.job.row.label for one in plans)),
        "mosaics": f"{len(plans)}, of which {len(missing)} are to be drawn",
        "time": f"about {duration(seconds)} of drawing (a rough estimate)" if missing else "none",
        "weights missing": ", ".join([*absent, *left_out]),
    }


def plan(protocol: Protocol, job: Job, out: Path, lpips: Path | None) -> Planned:
    """Check one mosaic's settings and say where it lies; raises InputError."""
    settings = protocol.settings(job, lpips)
    found = plan_mosaic(settings, concepts_dir=NO_CONCEPTS)
    reference_settings = protocol.reference_settings(job.pair, job.seed)
    reference = plan_mosaic(reference_settings, concepts_dir=NO_CONCEPTS)
    drawn_from = digest(reference.identity)
    name = f"{job.pair.name}-s{job.seed}"
    key = row_key(job, digest({**found.identity, "reference": drawn_from}))
    return Planned(
        job,
        settings,
        found.grid,
        key,
        out / "mosaics" / f"{name}-{job.row.method}-{job.row.preset}-{key[-1]}",
        out / "references" / f"{name}-{drawn_from}.png",
        reference_settings,
        found.seconds,
    )


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
    if not is_finished(planned.folder):
        run(draw_mosaic, planned.settings, planned.folder, planned.reference)
    scores = results.get(planned.key)
    if scores is None or not is_complete(scores, loader.judges.measurable()):
        scores = measure(planned.store, planned.job.pair.tile, loader.judges)
        scores = results.put(planned.key, scores)
    return scores


def trace(plans: Sequence[Planned], path: Path, run: Runner) -> None:
    """Draw how a tile came about in the first pair's mosaics, but for those that place pictures."""
    first = [one for one in plans if one.job.place == plans[0].job.place]
    drawn = [one for one in first if one.job.row.method not in CLASSICAL]
    if drawn:
        run(draw_evolution, [(one.job.row.label, one.settings, one.folder) for one in drawn], path)


def _said(scores: dict[str, Cell]) -> str:
    took = "" if scores["seconds"] is None else f"{scores['seconds']:.1f} s, "
    return (
        f"{took}{scores['psnr_64']:.2f} dB, SSIM {scores['ssim_64']:.3f}, "
        f"starter-CLIP {scores['starter_clip']:.3f}"
    )
