"""Measure every published figure and picture, and write them into the pages.

    python benchmarks/figures.py --list                figures, pages, minutes
    python benchmarks/figures.py                       all that is not measured yet, two at a time
    python benchmarks/figures.py --only parts,order    these, with all that their commands measure
    python benchmarks/figures.py --rehearse            tiny sizes, into copies of the pages

What is measured stays in runs/figures, in a folder whose name changes with the code, the starter's
weights, the concepts' adapters, the commands and the machine, and is not measured again. A
measurement that fails loses no other; the exit code is 1 then. `make figures` trains the concepts
first.
"""

import shutil
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer
from figure_list import FIGURES, MEASUREMENTS, REHEARSAL, Figure, Measurement, Picture, Size
from figure_pages import spans, write_figure
from figure_runs import ROOT, Provenance, Setting, forget, measure, stop

from smalti.cli.boundary import guarded
from smalti.cli.console import console, print_table
from smalti.configs.errors import InputError, SmaltiError
from smalti.configs.files import replacing
from smalti.evaluate.selection import choose_names

LPIPS = ROOT.parent / "shared" / "weights" / "lpips_alex.safetensors"
WORK = Path("runs/figures")
QUALITY = 85  # of JPEG files

app = typer.Typer(pretty_exceptions_enable=False, add_completion=False)


@app.command()
@guarded("Take --processes 1.")
def main(
    *,
    only: Annotated[str, typer.Option(metavar="NAMES", help="Figures, comma-separated.")] = "all",
    again: Annotated[bool, typer.Option("--again", help="Also what is measured already.")] = False,
    listed: Annotated[bool, typer.Option("--list", help="Only say what there is.")] = False,
    rehearse: Annotated[
        bool, typer.Option("--rehearse", help="Tiny sizes; pages are written beside the output.")
    ] = False,
    processes: Annotated[int, typer.Option(min=1, help="Measurements at a time.")] = 2,
    lpips: Annotated[
        Path | None, typer.Option(metavar="FILE", help="AlexNet weights of LPIPS, safetensors.")
    ] = LPIPS,
) -> None:
    """Measure figures and write them into their pages."""
    chosen = choose(only)
    known = lpips.resolve() if lpips and lpips.is_file() else None
    size, work = (REHEARSAL, WORK / "rehearsal") if rehearse else (Size(), WORK)
    setting = Setting(size, known, 1, work)
    if listed:
        print_table("Figures", ("figure", "page", "of", "minutes"), rows(chosen))
        return
    pages = copied_pages(chosen, ROOT / work / "pages") if rehearse else ROOT
    check_pages(chosen, pages)
    wanted = measurements(chosen)
    if again:
        for one in wanted:
            forget(setting, one)
    failed = measure_all(setting, wanted, chosen, pages, processes)
    if failed:
        console().print(f"Not measured: {', '.join(failed)}. The same command goes on from there.")
        raise typer.Exit(1)


def choose(names: str) -> list[Figure]:
    """Figures by name; raises InputError."""
    chosen = choose_names(names, [figure.name for figure in FIGURES], "figure")
    return [figure for figure in FIGURES if figure.name in chosen]


def measurements(chosen: Sequence[Figure]) -> list[Measurement]:
    """What the figures need, that which runs alone first, then the longest."""
    names = {figure.measurement for figure in chosen}
    found = [one for one in MEASUREMENTS if one.name in names]
    return sorted(found, key=lambda one: (not one.alone, -one.minutes))


def check_pages(chosen: Sequence[Figure], pages: Path) -> None:
    """Raise InputError for a page without the marker of its figure: before an hour of work."""
    for figure in chosen:
        if figure.name not in spans(pages / figure.page):
            raise InputError(f"{figure.page} has no <!-- figure: {figure.name} -->.")


def rows(chosen: Sequence[Figure]) -> list[tuple[str, ...]]:
    """What --list shows; figures of one measurement share its minutes."""
    minutes = {one.name: f"{one.minutes:g}" for one in MEASUREMENTS}
    return [(one.name, one.page, one.measurement, minutes[one.measurement]) for one in chosen]


def measure_all(
    setting: Setting,
    wanted: Sequence[Measurement],
    chosen: Sequence[Figure],
    pages: Path,
    processes: int,
) -> list[str]:
    """Make every measurement and write its figures; names of those that failed."""
    failed = []
    for number, (one, outcome) in enumerate(outcomes(setting, wanted, processes), 1):
        told = f"{number}/{len(wanted)}  {one.name}"
        try:
            found = outcome.result()
            publish(setting, one, found, chosen, pages)
        except SmaltiError as error:
            failed.append(one.name)
            print(f"{told}: failed, {error}", flush=True)
            continue
        left = sum(other.minutes for other in wanted[number:])
        print(f"{told}: {found.minutes:.1f} min (about {one.minutes:g} expected); "
              f"{len(wanted) - number} left, together about {left:g}", flush=True)  # fmt: skip
    return failed


def outcomes(
    setting: Setting, wanted: Sequence[Measurement], processes: int
) -> Iterator[tuple[Measurement, Future[Provenance]]]:
    """Measurements as they end. What runs alone has no other beside it.

    Only what runs is handed to the pool, so that nothing more begins after an interruption.
    """
    waiting, running = list(wanted), {}
    with ThreadPoolExecutor(processes) as pool, stopping():
        while waiting or running:
            while waiting and _may_start(waiting[0], list(running.values()), processes):
                one = waiting.pop(0)
                running[pool.submit(measured, setting, one)] = one
            for future in wait(running, return_when=FIRST_COMPLETED).done:
                yield running.pop(future), future


@contextmanager
def stopping() -> Iterator[None]:
    """Within it an interruption ends the commands that run, too."""
    try:
        yield
    except BaseException:
        stop()
        raise


def _may_start(one: Measurement, running: Sequence[Measurement], processes: int) -> bool:
    alone = one.alone or any(other.alone for other in running)
    return not running or (len(running) < processes and not alone)


def measured(setting: Setting, measurement: Measurement) -> Provenance:
    """On what a measurement was made, by now; raises SmaltiError."""
    return setting.done(measurement) or measure(setting, measurement)


def publish(
    setting: Setting,
    measurement: Measurement,
    found: Provenance,
    chosen: Sequence[Figure],
    pages: Path,
) -> None:
    """Write a measurement's figures and pictures; raises SmaltiError for what it did not leave."""
    out = ROOT / setting.folder(measurement)
    line = found.line(setting.shown(measurement))
    for figure in (one for one in chosen if one.measurement == measurement.name):
        try:
            content = figure.render(out)
            for picture in figure.pictures:
                copy_picture(out, picture, pages)
        except (OSError, KeyError, ValueError) as error:
            raise SmaltiError(f"{figure.name} cannot be made of {out}: {error!r}") from error
        write_figure(pages / figure.page, figure.name, f"{content}\n\n{line}")


def copy_picture(out: Path, picture: Picture, pages: Path) -> None:
    """Publish a picture: as it is, or as JPEG where its name says so."""
    from PIL import Image

    source, target = out / picture.source, pages / picture.target
    if not source.is_file():
        raise SmaltiError(f"{source} is missing.")
    with replacing(target) as temporary:
        if source.suffix == target.suffix:
            shutil.copyfile(source, temporary)
        else:
            Image.open(source).convert("RGB").save(temporary, format="JPEG", quality=QUALITY)


def copied_pages(chosen: Sequence[Figure], folder: Path) -> Path:
    """Copies of the pages that the figures stand on, for a rehearsal."""
    for page in dict.fromkeys(figure.page for figure in chosen):
        (folder / page).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(ROOT / page, folder / page)
    return folder


if __name__ == "__main__":
    app()
