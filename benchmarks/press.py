"""What the press takes: time and memory of print files and pages, from 5,000 to 30,000 px a side.

    python benchmarks/press.py                          5, 15 and 30 thousand px
    python benchmarks/press.py --sides 5000 --what tiff,view

The mosaics are made of a few tiles of 1,000 px on disk, again and again, as only their number and
size count here. Each file is written in a process of its own; its memory is the most that this
process held beyond what it had after its imports.
"""

import json
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from PIL import Image

from smalti.cli.boundary import guarded
from smalti.cli.console import print_table
from smalti.configs.mosaic import mosaic_settings
from smalti.configs.progress import silent
from smalti.configs.settings import Settings, as_tables
from smalti.evaluate.processes import peak_memory, run_in_subprocess

TILE, KINDS = 1000, 9
DPI = 300
HEADER = ("side", "what", "megapixels", "seconds", "of a CPU", "MP/s of it", "peak memory", "file")
WHATS = ("tiff", "jpeg", "pdf", "view", "mosaic.tif", "cmyk")
GOAL = 1.5  # GiB at 30,000 px

app = typer.Typer(pretty_exceptions_enable=False, add_completion=False)


def make_tiles(folder: Path) -> list[Path]:
    """A few tiles of smooth colours with some grain, as drawn pictures have."""
    random, paths = np.random.default_rng(0), []
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(KINDS):
        coarse = random.integers(0, 256, (12, 12, 3), np.uint8)
        smooth = Image.fromarray(coarse).resize((TILE, TILE), Image.Resampling.BICUBIC)
        grain = random.normal(0, 4, (TILE, TILE, 3))
        pixels = (np.asarray(smooth) + grain).clip(0, 255).astype(np.uint8)
        paths.append(folder / f"{number}.png")
        Image.fromarray(pixels).save(paths[-1])
    return paths


def make_mosaic(folder: Path, count: int, sources: list[Path]) -> Path:
    """A finished mosaic of count x count tiles, which are links."""
    (folder / "tiles").mkdir(parents=True)
    for row in range(count):
        for col in range(count):
            link = folder / "tiles" / f"r{row:02d}_c{col:02d}.png"
            os.symlink(sources[(row * 7 + col) % len(sources)], link)
    Image.new("RGB", (8 * count, 8 * count), "grey").save(folder / "reference.png")
    mosaic = mosaic_settings(grid=f"{count}x{count}", tile_size=TILE, tile_prompt=("a tile",))
    settings = as_tables(Settings(mosaic=mosaic))
    record = {"format": 2, "state": "finished", "identity": {}, "settings": settings, "tiles": {}}
    (folder / "mosaic.json").write_text(json.dumps(record))
    return folder


def write(what: str, folder: Path, side: int) -> dict[str, Any]:
    """Write one thing of a mosaic and measure it; runs in a process of its own."""
    from smalti.studio.press.finished import open_finished

    mosaic = open_finished(folder)
    work = _work(what, mosaic, folder, side)
    before, began, worked = peak_memory("cpu"), time.perf_counter(), time.process_time()
    path = work()
    seconds, cpu = time.perf_counter() - began, time.process_time() - worked
    size = sum(p.stat().st_size for p in ([path] if path.is_file() else path.rglob("*.jpg")))
    return {
        "seconds": seconds,
        "cpu": cpu,
        "memory": peak_memory("cpu"),
        "before": before,
        "bytes": size,
    }


def _work(what: str, mosaic: Any, folder: Path, side: int) -> Callable[[], Path]:
    """What writes it and returns its path; imports happen here, before anything is measured."""
    from dataclasses import replace

    from smalti.configs.product import ProductSettings
    from smalti.generate.large import write_tiff
    from smalti.generate.store import Store
    from smalti.studio.extra import require
    from smalti.studio.press.printing import print_mosaic
    from smalti.studio.press.view import write_view

    vips = require("pyvips", "The benchmark")
    mm = side / DPI * 25.4
    changes = {"format": what}
    if what == "cmyk":
        profile = folder / "printer.icc"
        profile.write_bytes(vips.Operation.call("profile_load", "cmyk"))
        changes = {"format": "tiff", "profile": str(profile)}
    product = ProductSettings(width=mm, height=mm, bleed=0, dpi=DPI, name=what)
    if what == "view":
        return lambda: write_view(mosaic, progress=silent).parent / "mosaic_files"
    if what == "mosaic.tif":
        path = folder / what
        return lambda: (write_tiff(Store(folder, mosaic.grid), path, "", ""), path)[1]
    ready = replace(product, **changes)
    return lambda: print_mosaic(mosaic, ready, progress=silent)[0]


def row_of(side: int, what: str, found: dict[str, Any]) -> tuple[str, ...]:
    """A line of the table."""
    area = side * side / 1e6
    return (
        f"{side}", what, f"{area:.0f}", f"{found['seconds']:.0f}",
        f"{found['cpu']:.0f}",
        f"{area / found['cpu']:.1f}", f"{found['memory'] / 2**30:.2f} GiB",
        f"{found['bytes'] / 1e6:.0f} MB",
    )  # fmt: skip


@app.command()
@guarded()
def main(
    sides: Annotated[
        str, typer.Option(help="Sides in px, multiples of 1000.")
    ] = "5000,15000,30000",
    what: Annotated[str, typer.Option(help=f"Of {', '.join(WHATS)}.")] = "tiff,jpeg,view",
    folder: Annotated[str | None, typer.Option(help="Where files are written for a while.")] = None,
    out: Annotated[str | None, typer.Option("--json", help="Keep the figures here.")] = None,
) -> None:
    """Time and memory of the press, growing with the area and flat."""
    rows, kept = [], []
    with tempfile.TemporaryDirectory(dir=folder) as work:
        sources = make_tiles(Path(work) / "sources")
        for side in map(int, sides.split(",")):
            for name in what.split(","):
                place = Path(work) / f"{side}-{name}"
                make_mosaic(place, side // TILE, sources)
                found = run_in_subprocess(write, name, place, side)
                rows.append(row_of(side, name, found))
                kept.append({"side": side, "what": name, **found})
                typer.echo("  ".join(rows[-1]), err=True)
    print_table(f"The press (goal: {GOAL} GiB)", HEADER, rows)
    if out:
        Path(out).write_text(json.dumps(kept, indent=2) + "\n")


if __name__ == "__main__":
    app()
