"""Guides and presets side by side: fidelity from afar, tile score, time. One photo, one subject.

    python benchmarks/guides.py                                   the table of docs/guidance.md
    python benchmarks/guides.py --rows fast,exact --seeds 0,1
    python benchmarks/guides.py --also "fast+low_pass_cells=6"    one more row, from any preset

Every row is a whole mosaic of the astronaut's portrait that scikit-image ships. Seconds are those
of drawing its tiles, the base model loaded; only their ratios within one run mean anything.
"""

import time
from dataclasses import replace
from pathlib import Path
from statistics import mean
from typing import Annotated

import typer

from smalti.cli.boundary import guarded
from smalti.cli.console import print_table
from smalti.cli.options import Base
from smalti.configs.loading import resolve
from smalti.configs.settings import Settings

ROWS = {
    "exact": "paper",
    "exact, 20 steps": "paper+steps=20,scheduler=dpm++,guidance_decay=0.88",
    "ycbcr, 20 steps": "paper+steps=20,scheduler=dpm++,guidance_decay=0.88,guide=ycbcr",
    "unguided": "fast+guidance=false,color=false",
    "colour only": "fast+guidance=false,color=true",
    "x0-gradient": "fast+guide=x0-gradient",
    "x0-gradient, linear": "fast+guide=x0-gradient,guide_decoder=linear",
    "filtered-difference": "fast+guide=filtered-difference",
    "projection, 2 cells": "fast+low_pass_cells=2",
    "projection, 3 cells": "fast+low_pass_cells=3",
    "projection, 6 cells": "fast+low_pass_cells=6",
    "projection, 8 cells": "fast+low_pass_cells=8",
    "projection and colour": "fast+color=true",
    "without corrections": "fast+corrections=0",
    "guided from the start": "fast+guidance_start=0.0",
    "draft": "draft",
    "fast": "fast",
    "fine": "fine",
}
HEADER = ("row", "PSNR@64, dB", "SSIM@64", "tile score", "s", "of the first")

app = typer.Typer(pretty_exceptions_enable=False, add_completion=False)


def settings_of(text: str, base: str | None, prompt: str, photo: Path, grid: str) -> Settings:
    """Settings of "PRESET+key=value,key=value", drawn on the same photo and prompt."""
    preset, _, changes = text.partition("+")
    overrides = [f"mosaic.{change}" for change in changes.split(",") if change]
    options = {"mosaic.tile_prompt": (prompt,), "mosaic.ref": str(photo), "mosaic.grid": grid}
    return resolve(base=base, mosaic=preset, options=options, overrides=overrides)


def slug(text: str) -> str:
    """A name for a folder: letters, digits and hyphens."""
    return "".join(c if c.isalnum() else "-" for c in text)


def draw(settings: Settings, out: Path) -> float:
    """Draw a mosaic into `out` unless it is there; seconds of drawing its tiles."""
    from smalti.generate.mosaic import draw_tiles, finish, plan_mosaic
    from smalti.generate.studio import open_studio
    from smalti.generate.tiles import TileStore

    plan = plan_mosaic(settings, concepts_dir=Path("concepts"))
    store = TileStore(out, plan.grid)
    store.claim(plan.identity)
    if seconds := store.recorded("seconds"):
        return seconds
    studio = open_studio(plan, store, Path("concepts"), lambda *_: None)
    _ = studio.base.linear_decoder  # fitted once per base model, not once per mosaic
    began = time.perf_counter()
    tiles = plan.grid.tiles
    draw_tiles(studio, tiles, set(tiles), plan.settings.mosaic.seed, lambda *_: None)
    seconds = time.perf_counter() - began
    finish(store, plan.settings, plan.settings.mosaic.tile_prompt)
    store.update(seconds=seconds)
    return seconds


@app.command()
@guarded("Take --grid 4x4.")
def main(
    *,
    base: Base = None,
    rows: Annotated[str, typer.Option(help="Names of rows, comma-separated; all without.")] = "",
    also: Annotated[list[str] | None, typer.Option(help="PRESET+key=value,...")] = None,
    seeds: Annotated[str, typer.Option(help="Seeds, comma-separated.")] = "0",
    prompt: Annotated[str, typer.Option(help="What tiles show.")] = "a hamburger",
    grid: Annotated[str, typer.Option(help="ROWSxCOLS.")] = "8x8",
    out: Annotated[Path, typer.Option(help="Where mosaics stay.")] = Path("runs/benchmarks/guides"),
) -> None:
    """Draw the mosaic of every row at every seed and print what came out."""
    import torch
    from likeness import read_images
    from PIL import Image
    from skimage.data import astronaut

    from smalti.generate.evaluate.judge import Judge
    from smalti.generate.tiles import read_record

    chosen = {name: text for name, text in ROWS.items() if not rows or name in rows.split(",")}
    chosen |= {text: text for text in also or ()}
    out.mkdir(parents=True, exist_ok=True)
    photo, judge, table, first = out / "astronaut.png", Judge(), [], 0.0
    Image.fromarray(astronaut()).save(photo)
    for name, text in chosen.items():
        found = []
        for seed in (int(seed) for seed in seeds.split(",")):
            settings = settings_of(text, base, prompt, photo, grid)
            settings = replace(settings, mosaic=replace(settings.mosaic, seed=seed))
            folder = out / f"{slug(text)}-{slug(prompt)}-{grid}-{seed}"
            seconds = draw(settings, folder)
            metrics = (read_record(folder) or {})["metrics"]
            tiles = torch.stack(read_images(sorted((folder / "tiles").glob("*.png"))))
            score = float((judge.image_features(tiles) @ judge.class_features([prompt]).T).mean())
            found.append((metrics["psnr_64"], metrics["ssim_64"], score, seconds))
        psnr, ssim, score, seconds = (mean(column) for column in zip(*found, strict=True))
        first = first or seconds
        cost = (f"{seconds:.1f}", f"{seconds / first:.3f}")
        row = (f"{psnr:.2f}", f"{ssim:.3f}", f"{score:.3f}", *cost)
        table.append((name, *row))
        print(name, *row, flush=True)
    print_table(f'"{prompt}" tiles, {grid}, seeds {seeds}', HEADER, table)


if __name__ == "__main__":
    app()
