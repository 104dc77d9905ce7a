"""Guides and presets side by side: fidelity from afar, tile score, time. The tables of the docs.

    python benchmarks/guides.py                                   all rows, both scenes
    python benchmarks/guides.py --scene photo --rows fast,paper --seeds 0,1
    python benchmarks/guides.py --also "fast+low_pass_cells=6"    one more row, from any preset
    python benchmarks/guides.py --plot docs/guidance.png          and its curve

Two scenes: the astronaut's portrait that scikit-image ships, in hamburgers, and the demo (Sylvie in
the tiles, Eileen in the reference; both must be trained). The tile score is the starter-CLIP
similarity of tiles to the words "a hamburger", and to the concept's photos. Seconds are those of
drawing the tiles, the base model loaded; only ratios within one run mean anything. Mosaics stay in
--out and are not drawn again; delete it after a change of code.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from statistics import mean
from typing import Annotated, Any

import typer

from smalti.cli.boundary import guarded
from smalti.cli.console import print_table
from smalti.cli.options import Base
from smalti.configs.errors import InputError
from smalti.configs.loading import resolve
from smalti.configs.settings import Settings

PAPER_20 = "paper+steps=20,scheduler=dpm++,guidance_decay=0.88"
# One pull for rows that differ in something else; `fast` chooses its own for every reference.
PULLED = "fast+guidance_strength=0.25"
ROWS = {
    "paper": "paper",
    "paper, 20 steps": PAPER_20,
    "ycbcr, 20 steps": f"{PAPER_20},guide=ycbcr",
    "unguided": "fast+guidance=false",
    "colour alone": "fast+guidance=false,color=true",
    "x0-gradient": "fast+guide=x0-gradient,guidance_strength=1.0",
    "x0-gradient, linear": "fast+guide=x0-gradient,guide_decoder=linear,guidance_strength=1.0",
    "x0-gradient, strength 0.4": "fast+guide=x0-gradient,guidance_strength=0.4",
    "filtered-difference": "fast+guide=filtered-difference,guidance_strength=1.0",
    "filtered-difference, strength 0.4": "fast+guide=filtered-difference,guidance_strength=0.4",
    "2 cells": "fast+low_pass_cells=2,guidance_strength=1.0",
    "4 cells": "fast+low_pass_cells=4,guidance_strength=1.0",
    "6 cells": "fast+low_pass_cells=6,guidance_strength=1.0",
    "8 cells": "fast+guidance_strength=1.0",
    "16 cells": "fast+low_pass_cells=16,guidance_strength=1.0",
    "4 cells, strength 0.4": "fast+low_pass_cells=4,guidance_strength=0.4",
    "6 cells, strength 0.4": "fast+low_pass_cells=6,guidance_strength=0.4",
    "16 cells, strength 0.4": "fast+low_pass_cells=16,guidance_strength=0.4",
    "strength 0.15": "fast+guidance_strength=0.15",
    "strength 0.2": "fast+guidance_strength=0.2",
    "strength 0.25": PULLED,
    "strength 0.32": "fast+guidance_strength=0.32",
    "strength 0.4": "fast+guidance_strength=0.4",
    "strength 0.7": "fast+guidance_strength=0.7",
    "with colour": f"{PULLED},color=true",
    "no corrections": f"{PULLED},corrections=0",
    "two corrections": f"{PULLED},corrections=2",
    "CFG 3": f"{PULLED},cfg_scale=3.0",
    "CFG 6": f"{PULLED},cfg_scale=6.0",
    "CFG 7.5": f"{PULLED},cfg_scale=7.5",
    "guided from the start": f"{PULLED},guidance_start=0.0",
    "guided to 60 %": f"{PULLED},guidance_end=0.6",
    "8 steps": f"{PULLED},steps=8",
    "draft": "draft",
    "fast": "fast",
    "fine": "fine",
}
HEADER = ("row", "PSNR@64, dB", "SSIM@64", "pyramid 1 to 4", "tile score", "s", "of the first")

Score = Callable[[Any], float]  # of tiles [K, 3, H, W] in [0, 1]

app = typer.Typer(pretty_exceptions_enable=False, add_completion=False)


@dataclass(frozen=True)
class Scene:
    """What a mosaic shows, and how its tiles are judged."""

    options: dict[str, Any]
    """Mosaic settings by name."""
    concept: str = ""
    """The concept whose photos tiles are compared with; without one, words."""


@dataclass(frozen=True)
class Found:
    """What one row reached: means over seeds."""

    name: str
    """The row's name."""
    psnr: float
    """PSNR@64, dB."""
    ssim: float
    """SSIM@64."""
    pyramid: tuple[float, ...]
    """Mean squared error of pyramid levels 1 to 4."""
    score: float
    """Starter-CLIP similarity of tiles to what they are to show."""
    seconds: float
    """Drawing all tiles."""

    def cells(self, first: "Found") -> tuple[str, ...]:
        """A row of the table; seconds are compared with `first`."""
        pyramid = " ".join(f"{error:.4f}" for error in self.pyramid)
        share = f"{self.seconds / first.seconds:.3f}"
        return (
            self.name, f"{self.psnr:.2f}", f"{self.ssim:.3f}", pyramid, f"{self.score:.3f}",
            f"{self.seconds:.1f}", share,
        )  # fmt: skip


def scenes(photo: Path) -> dict[str, Scene]:
    """Both scenes; `photo` is the file of the portrait."""
    return {
        "photo": Scene({"tile_prompt": ("a hamburger",), "ref": str(photo)}),
        "demo": Scene({"tile_lora": ("sylvie",), "ref_lora": "eileen"}, concept="sylvie"),
    }


def settings_of(text: str, base: str | None, scene: Scene, grid: str, seed: int) -> Settings:
    """Settings of "PRESET+key=value,key=value" for a scene."""
    preset, _, changes = text.partition("+")
    overrides = [f"mosaic.{change}" for change in changes.split(",") if change]
    options = {**scene.options, "grid": grid, "seed": seed}
    options = {f"mosaic.{name}": value for name, value in options.items()}
    return resolve(base=base, mosaic=preset, options=options, overrides=overrides)


def draw(settings: Settings, out: Path) -> float:
    """Draw a mosaic into `out` unless it is there; seconds of drawing its tiles."""
    from mosaics import open_mosaic, timed_tiles

    from smalti.generate.mosaic import plan_mosaic
    from smalti.generate.output import finish
    from smalti.generate.tiles import TileStore

    plan = plan_mosaic(settings, concepts_dir=Path("concepts"))
    store = TileStore(out, plan.grid)
    store.claim(plan.identity)
    if seconds := store.recorded("seconds"):
        return seconds
    seconds = timed_tiles(open_mosaic(settings, out))
    finish(store, plan.settings, plan.settings.mosaic.tile_prompt)
    store.update(seconds=seconds)
    return seconds


def measure(name: str, folders: list[Path], seconds: list[float], score: Score) -> Found:
    """Means over the finished mosaics of one row."""
    import torch
    from likeness import read_tiles

    from smalti.generate.tiles import read_record

    metrics = [(read_record(folder) or {})["metrics"] for folder in folders]
    tiles = [torch.stack(read_tiles(f)) for f in folders]
    return Found(
        name,
        psnr=mean(m["psnr_64"] for m in metrics),
        ssim=mean(m["ssim_64"] for m in metrics),
        pyramid=tuple(map(mean, zip(*(m["pyramid"] for m in metrics), strict=True))),
        score=mean(map(score, tiles)),
        seconds=mean(seconds),
    )


def scoring(scene: Scene) -> Score:
    """How the scene's tiles are judged."""
    from likeness import likeness, photo_features

    from smalti.generate.evaluate.judge import Judge

    judge = Judge()
    if scene.concept:
        photos = photo_features(judge, Path("concepts") / scene.concept)
        return lambda tiles: float(likeness(judge, tiles, photos).mean())
    words = judge.class_features(scene.options["tile_prompt"])
    return lambda tiles: float((judge.image_features(tiles) @ words.T).mean())


@app.command()
@guarded("Take --grid 4x4.")
def main(
    *,
    base: Base = None,
    scene: Annotated[str, typer.Option(help="photo, demo, or both with a comma.")] = "photo,demo",
    rows: Annotated[str, typer.Option(help="Names of rows, separated by ;. All without.")] = "",
    also: Annotated[list[str] | None, typer.Option(help="PRESET+key=value,...")] = None,
    seeds: Annotated[str, typer.Option(help="Seeds, comma-separated.")] = "0",
    grid: Annotated[str, typer.Option(help="ROWSxCOLS.")] = "8x8",
    plot: Annotated[Path | None, typer.Option(help="Write the curve there (PNG).")] = None,
    out: Annotated[Path, typer.Option(help="Where mosaics stay.")] = Path("runs/benchmarks/guides"),
) -> None:
    """Draw the mosaic of every row and scene at every seed and print what came out."""
    from mosaics import photo

    from smalti.generate.evaluate.protocol import choose_seeds

    known, numbers = scenes(photo(out / "astronaut.png")), choose_seeds(seeds)
    if unknown := [name for name in (rows.split(";") if rows else ()) if name not in ROWS]:
        raise InputError(f'No row "{unknown[0]}"; known: {"; ".join(ROWS)}.')
    if unknown := [name for name in scene.split(",") if name not in known]:
        raise InputError(f'No scene "{unknown[0]}"; known: {", ".join(known)}.')
    chosen = {name: text for name, text in ROWS.items() if not rows or name in rows.split(";")}
    chosen |= {text: text for text in also or ()}
    curves = {}
    for place in scene.split(","):
        score, found = scoring(known[place]), []
        for name, text in chosen.items():
            folders, seconds = [], []
            for seed in numbers:
                settings = settings_of(text, base, known[place], grid, seed)
                slug = "".join(c if c.isalnum() else "-" for c in f"{place}-{text}-{grid}-{seed}")
                folders.append(out / slug)
                seconds.append(draw(settings, out / slug))
            found.append(measure(name, folders, seconds, score))
            print(place, *found[-1].cells(found[0]), sep="  ", flush=True)
        print_table(f"{place}, {grid}, seeds {seeds}", HEADER, [f.cells(found[0]) for f in found])
        curves[place] = found
    if plot:
        draw_curves(curves, plot)


def draw_curves(curves: dict[str, list[Found]], path: Path) -> None:
    """Tile score against SSIM@64, one panel per scene, every row a labelled point."""
    from matplotlib.figure import Figure

    from smalti.configs.files import replacing
    from smalti.generate.evaluate.plots import labelled_points

    longest = max(len(found) for found in curves.values())  # the lists below grow with it
    figure = Figure(figsize=(7 * len(curves), 5 + 0.1 * longest), layout="constrained")
    panels = figure.subplots(1, len(curves), squeeze=False)[0]
    for panel, (place, found) in zip(panels, curves.items(), strict=True):
        labelled_points(panel, {one.name: (one.ssim, one.score) for one in found})
        panel.set(title=place, xlabel="SSIM@64", ylabel="tile score")
    with replacing(path) as temporary:
        figure.savefig(temporary, format="png", dpi=110)


if __name__ == "__main__":
    app()
