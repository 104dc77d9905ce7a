"""Guides and presets side by side: fidelity from afar, tile score, time. The tables of the docs.

    python benchmarks/guides.py                                   all rows, both scenes
    python benchmarks/guides.py --scene photo --rows "fast;paper" --seeds 0,1
    python benchmarks/guides.py --also "fast+low_pass_cells=6"    one more row, from any preset
    python benchmarks/guides.py --plot runs/guidance.png          and its curve

Two scenes: the astronaut's portrait that scikit-image ships, in hamburgers, and the demo (pim in
the tiles, bolt in the reference; both must be trained); the names of others are in scenes.py. The
tile score is the starter-CLIP similarity of tiles to the words "a hamburger", and to the concept's
photos. Seconds are those of
drawing the tiles, the base model loaded; only ratios within one run mean anything. Mosaics stay in
--out and are not drawn again; delete it after a change of code.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import mean
from typing import TYPE_CHECKING, Annotated

import typer
from scenes import CONCEPTS, TABLED, Scene, draw_row, row_settings, scenes

from smalti.cli.boundary import guarded
from smalti.cli.console import print_table
from smalti.cli.options import Base
from smalti.configs.files import write_json
from smalti.evaluate.selection import choose_names, choose_seeds

if TYPE_CHECKING:
    from torch import Tensor

PAPER_20 = "paper+steps=20,scheduler=dpm++,guidance_decay=0.88"
# One pull for rows that differ in something else; `fast` chooses its own for every reference.
PULLED = "fast+guidance_strength=0.25"
ROWS = {
    "paper, 20 steps": PAPER_20,
    "unguided": "fast+guidance=false",
    "colour alone": "fast+guidance=false,color=true",
    "x0-gradient, linear": "fast+guide=x0-gradient,guide_decoder=linear,guidance_strength=1.0",
    "filtered-difference": "fast+guide=filtered-difference,guidance_strength=1.0",
    "4 cells": "fast+low_pass_cells=4,guidance_strength=1.0",
    "16 cells": "fast+low_pass_cells=16,guidance_strength=1.0",
    "strength 0.15": "fast+guidance_strength=0.15",
    "strength 0.2": "fast+guidance_strength=0.2",
    "strength 0.25": PULLED,
    "strength 0.4": "fast+guidance_strength=0.4",
    "with colour": f"{PULLED},color=true",
    "CFG 3": f"{PULLED},cfg_scale=3.0",
    "CFG 7.5": f"{PULLED},cfg_scale=7.5",
    "draft": "draft",
    "fast": "fast",
    "fine": "fine",
}
HEADER = ("row", "PSNR@64, dB", "SSIM@64", "pyramid 1 to 4", "tile score", "s", "of the first")

Score = Callable[["Tensor"], float]
"""Judges tiles [K, 3, H, W] in [0, 1]."""

app = typer.Typer(pretty_exceptions_enable=False, add_completion=False)


@dataclass(frozen=True)
class RowResult:
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

    def cells(self, first: "RowResult") -> tuple[str, ...]:
        """A row of the table; seconds are compared with `first`."""
        pyramid = " ".join(f"{error:.4f}" for error in self.pyramid)
        share = f"{self.seconds / first.seconds:.3f}"
        return (
            self.name, f"{self.psnr:.2f}", f"{self.ssim:.3f}", pyramid, f"{self.score:.3f}",
            f"{self.seconds:.1f}", share,
        )  # fmt: skip


def draw_seeds(
    scene: Scene, text: str, base: str | None, grid: str, seeds: Sequence[int], stem: Path
) -> tuple[list[Path], list[float]]:
    """Folders of a row's mosaics, and the seconds that each took; names begin with `stem`."""
    folders, seconds = [], []
    for seed in seeds:
        name = "".join(c if c.isalnum() else "-" for c in f"{stem.name}-{text}-{grid}-{seed}")
        folders.append(stem.with_name(name))
        seconds.append(draw_row(row_settings(text, base, scene, grid, seed), folders[-1]))
    return folders, seconds


def measure(
    name: str, folders: Sequence[Path], seconds: Sequence[float], score: Score
) -> RowResult:
    """Means over the finished mosaics of one row."""
    from smalti.evaluate.pictures import read_tiles
    from smalti.generate.store import read_record

    metrics = [(read_record(folder) or {})["metrics"] for folder in folders]
    return RowResult(
        name,
        psnr=mean(m["psnr_64"] for m in metrics),
        ssim=mean(m["ssim_64"] for m in metrics),
        pyramid=tuple(map(mean, zip(*(m["pyramid"] for m in metrics), strict=True))),
        score=mean(score(read_tiles(folder)) for folder in folders),
        seconds=mean(seconds),
    )


def scoring(scene: Scene) -> Score:
    """How the scene's tiles are judged."""
    from smalti.evaluate.judge import Judge
    from smalti.evaluate.likeness import likeness, photo_features
    from smalti.train.concept import load_concept

    judge = Judge()
    if scene.concept:
        images = load_concept(CONCEPTS / scene.concept).images
        photos = photo_features(judge, [item.path for item in images])
        return lambda tiles: float(likeness(judge, tiles, photos).mean())
    words = judge.class_features(scene.options["tile_prompt"])
    return lambda tiles: float((judge.image_features(tiles) @ words.T).mean())


def choose_rows(names: str, also: Sequence[str]) -> dict[str, str]:
    """Texts of the rows that a user names, and further ones; raises InputError."""
    chosen = choose_names(names or "all", ROWS, "row", separator=";")
    return {name: ROWS[name] for name in chosen} | {text: text for text in also}


@app.command()
@guarded("Take --grid 4x4.")
def main(
    *,
    base: Base = None,
    scene: Annotated[str, typer.Option(help="Names, comma-separated.")] = ",".join(TABLED),
    rows: Annotated[str, typer.Option(help="Names of rows, separated by ;. All without.")] = "",
    also: Annotated[list[str] | None, typer.Option(help="PRESET+key=value,...")] = None,
    seeds: Annotated[str, typer.Option(help="Seeds, comma-separated.")] = "0",
    grid: Annotated[str, typer.Option(help="ROWSxCOLS.")] = "8x8",
    plot: Annotated[Path | None, typer.Option(help="Write the curve there (PNG).")] = None,
    json_file: Annotated[
        Path | None, typer.Option("--json", metavar="FILE", help="Write all numbers there.")
    ] = None,
    out: Annotated[Path, typer.Option(help="Where mosaics stay.")] = Path("runs/benchmarks/guides"),
) -> None:
    """Draw the mosaic of every row and scene at every seed and print what came out."""
    chosen, numbers = choose_rows(rows, also or ()), choose_seeds(seeds)
    known = scenes(out)
    curves: dict[str, list[RowResult]] = {}
    for place in choose_names(scene, known, "scene"):
        score, found = scoring(known[place]), curves.setdefault(place, [])
        for name, text in chosen.items():
            drawn = draw_seeds(known[place], text, base, grid, numbers, out / place)
            found.append(measure(name, *drawn, score))
            print(place, *found[-1].cells(found[0]), sep="  ", flush=True)
        print_table(f"{place}, {grid}, seeds {seeds}", HEADER, [f.cells(found[0]) for f in found])
    if json_file:
        write_json(json_file, {place: list(map(asdict, found)) for place, found in curves.items()})
    if plot:
        draw_curves(curves, plot)


def draw_curves(curves: Mapping[str, Sequence[RowResult]], path: Path) -> None:
    """Tile score against SSIM@64, one panel per scene, every row a labelled point."""
    from matplotlib.figure import Figure

    from smalti.configs.files import replacing
    from smalti.evaluate.plots import labelled_points

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
