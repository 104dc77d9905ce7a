"""The evaluation from end to end: references, mosaics, scores, report; it goes on where it was."""

from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path

from ..configs.methods import PoolSettings
from ..configs.progress import duration
from ..models.device import pick_device
from .drawing import draw_mosaic, draw_references, is_finished
from .evolution import draw_evolution, is_drawn
from .mosaics import PlannedMosaic, plan_all
from .networks import NETWORKS
from .peers import draw_peer
from .pretrained import Judges, find_judges
from .processes import Runner, run_in_subprocess
from .protocol import LEVELS, Case, Protocol
from .report import EVOLUTION, write_report
from .results import TABLE, Measured, Results, at_one_precision, claim, is_complete
from .scores import measure
from .table import MISSING, Cell

Log = Callable[[str], None]


def evaluate(
    protocol: Protocol,
    cases: Sequence[Case],
    out: Path,
    *,
    lpips: Path | None = None,
    ask: bool = False,
    log: Log = print,
    run: Runner = run_in_subprocess,
) -> Path:
    """Draw and measure every mosaic, write tables, plots and sheets; returns report.md.

    What an earlier run with the same protocol finished in `out` is found again: mosaics are not
    drawn twice, and rows are measured again only for weights that were missing then. `log` gets a
    line per mosaic; `run` calls what draws, in a process of its own by default. ask: write sheets
    that ask people which mosaics they prefer, and count their answers (`preference`).

    Raises InputError for bad input, for answers that cannot be read, and for a folder that holds
    another evaluation.
    """
    protocol = at_one_precision(protocol, out)
    mosaics, skipped = plan_all(protocol, cases, out, lpips)
    for label, row in skipped.items():
        log(f"Left out: {label} ({row.reason}; {row.remedy}).")
    claim(out, protocol, lpips)
    results, judges = Results(out / TABLE), cache(lambda: find_judges(lpips, pick_device()))
    draw_missing_references(mosaics, run, log)
    measured = []
    for number, mosaic in enumerate(mosaics, 1):
        draw(mosaic, run)
        scores = score(mosaic, results, judges())
        log(f"{number}/{len(mosaics)}  {mosaic.case.label}: {_summary(scores)}")
        measured.append(Measured(mosaic.case, mosaic.store, scores))
    update_evolution(mosaics, out / EVOLUTION, run)
    reasons = {label: row.reason for label, row in skipped.items()}
    return write_report(out, protocol, measured, reasons, log, ask=ask)


def outline(
    protocol: Protocol, cases: Sequence[Case], out: Path, lpips: Path | None = None
) -> dict[str, str]:
    """What `evaluate` would do, in words; draws and writes nothing. Raises InputError."""
    mosaics, skipped = plan_all(at_one_precision(protocol, out), cases, out, lpips)
    missing = [one for one in mosaics if not is_finished(one.folder)]
    parts = {part.folder: part for one in missing for part in one.parts}
    absent = [] if lpips else ["LPIPS"]
    absent += [network.title for network in NETWORKS if not network.folder()]
    seconds = sum(part.seconds for part in parts.values() if not is_finished(part.folder))
    return {
        "rows": "; ".join(dict.fromkeys(one.case.row.label for one in mosaics)),
        "mosaics": f"{len(mosaics)}, of which {len(missing)} are to be drawn",
        "time": f"about {duration(seconds)} of drawing (a rough estimate)" if missing else "none",
        MISSING: ", ".join(absent),
        "left out": "; ".join(f"{row} ({why.reason})" for row, why in skipped.items()) or "none",
    }


def draw_missing_references(mosaics: Sequence[PlannedMosaic], run: Runner, log: Log) -> None:
    """Draw the references that are not there yet, each once, whatever rows share it."""
    wanted = {m.reference: m.reference_settings for m in mosaics if not m.reference.is_file()}
    if wanted:
        log(f"Drawing {len(wanted)} references.")
        run(draw_references, [(settings, path) for path, settings in wanted.items()])


def draw(mosaic: PlannedMosaic, run: Runner) -> None:
    """Draw a mosaic unless that is done; before a peer's, the one whose pool it takes."""
    if is_finished(mosaic.folder):
        return
    source = mosaic.source
    if source is None:
        run(draw_mosaic, mosaic.settings, mosaic.folder, mosaic.reference)
        return
    draw(source, run)
    settings = source.settings.mosaic.method
    assert isinstance(settings, PoolSettings), "a peer takes the pool of a method that has one"
    name = mosaic.case.row.method
    draw_peer(name, mosaic.store, mosaic.identity, mosaic.reference, source.store, settings)


def score(mosaic: PlannedMosaic, results: Results, judges: Judges) -> dict[str, Cell]:
    """Scores of a drawn mosaic; measures it unless that is done already."""
    scores = results.get(mosaic.key)
    if scores is None or not is_complete(scores, judges.measurable()):
        scores = results.put(mosaic.key, measure(mosaic.store, mosaic.case.pair, judges))
    return scores


def update_evolution(mosaics: Sequence[PlannedMosaic], path: Path, run: Runner) -> None:
    """Draw how a tile came about in the first pair's mosaics of the evaluation's own grid.

    Not in those that place pictures.

    What an earlier run left stays when it shows the same mosaics, and goes when none is drawn.
    """
    first = [one for one in mosaics if one.case.place == mosaics[0].case.place]
    own = [one for one in first if one.case.row.variant not in LEVELS]
    drawn = [one for one in own if not isinstance(one.settings.mosaic.method, PoolSettings)]
    wanted = [(one.case.row.label, one.settings, one.folder) for one in drawn]
    if not wanted:
        path.unlink(missing_ok=True)
    elif not is_drawn(wanted, path):
        run(draw_evolution, wanted, path)


def _summary(scores: dict[str, Cell]) -> str:
    took = "" if scores["seconds"] is None else f"{scores['seconds']:.1f} s, "
    return (
        f"{took}{scores['psnr_64']:.2f} dB, SSIM {scores['ssim_64']:.3f}, "
        f"starter-CLIP {scores['starter_clip']:.3f}"
    )
