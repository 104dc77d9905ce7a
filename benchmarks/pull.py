"""Whether the pull that smalti measures reaches its target: SSIM@64 asked for and found.

    python benchmarks/pull.py                                nine mosaics on each of three grids
    python benchmarks/pull.py --grids 4x4 --scenes photo,cups
    python benchmarks/pull.py --scenes photo --target 0.8 --set mosaic.steps=20

The concepts must be trained. Mosaics stay in --out and are not drawn again; delete it after a
change of code.
"""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import fmean
from typing import Annotated

import typer
from scenes import Scene, draw_row, row_settings, scenes

from smalti.cli.boundary import guarded
from smalti.cli.console import console, print_table
from smalti.cli.options import Base
from smalti.configs.files import write_json
from smalti.evaluate.selection import choose_names
from smalti.generate.store import read_record

HEADER = ("grid", "scene", "seed", "asked", "aimed", "SSIM@64", "pull of each part", "p")
SCENES = "photo,demo,reverse,cats,cups,pims,cars"
SEEDS = {"demo": (0, 1, 2)}  # references that differ; of the others the first alone

app = typer.Typer(pretty_exceptions_enable=False, add_completion=False)


@dataclass(frozen=True)
class Reached:
    """One mosaic."""

    grid: str
    scene: str
    seed: int
    asked: float
    """The SSIM@64 that the settings want."""
    aimed: float
    """The same, or what the band can give."""
    ssim: float
    strengths: tuple[float, ...]
    pulls: float

    def row(self) -> tuple[str, ...]:
        """A row of the table."""
        pulls = " ".join(f"{strength:g}" for strength in self.strengths)
        numbers = (f"{self.asked:g}", f"{self.aimed:.2f}", f"{self.ssim:.3f}")
        return (self.grid, self.scene, str(self.seed), *numbers, pulls, f"{self.pulls:g}")


def read(grid: str, scene: str, seed: int, asked: float, folder: Path) -> Reached:
    """What a finished mosaic's record says."""
    record = read_record(folder)
    assert record is not None, folder
    pull, found = record["pull"], record["metrics"]["ssim_64"]
    strengths = tuple(pull["strengths"])
    return Reached(
        grid, scene, seed, asked, pull["target_ssim"], found, strengths, pull.get("pulls", 0)
    )


def summary(found: Sequence[Reached]) -> str:
    """How far mosaics are from what was asked for, and from what was aimed at."""
    parts = []
    for word in ("asked", "aimed"):
        off = [one.ssim - getattr(one, word) for one in found]
        spread, most = fmean(miss**2 for miss in off) ** 0.5, max(off, key=abs)
        parts.append(f"{word}: off by {spread:.3f} (root mean square), at most {most:+.3f}")
    return "; ".join(parts)


@app.command()
@guarded("Close other programs.")
def main(
    *,
    base: Base = None,
    chosen: Annotated[str, typer.Option("--scenes", help="Names, comma-separated.")] = SCENES,
    grids: Annotated[str, typer.Option(help="ROWSxCOLS, comma-separated.")] = "4x4,8x8,16x16",
    target: Annotated[float, typer.Option(help="SSIM@64.")] = 0.7,
    overrides: Annotated[list[str] | None, typer.Option("--set", help="KEY=VALUE")] = None,
    out: Annotated[Path, typer.Option(help="Where mosaics stay.")] = Path("runs/benchmarks/pull"),
    json_file: Annotated[Path | None, typer.Option("--json", help="File for all numbers.")] = None,
) -> None:
    """Draw every scene on every grid; print what was asked for and what came out."""
    known, found = scenes(out), []
    changes = [f"target_ssim={target}", *(o.removeprefix("mosaic.") for o in overrides or ())]
    text = "fast+" + ",".join(changes)
    for grid in grids.split(","):
        for name in choose_names(chosen, known, "scene"):
            for seed, folder in draw_scene(name, known[name], base, text, grid, out):
                found.append(read(grid, name, seed, target, folder))
                print(*found[-1].row(), sep="  ", flush=True)
    if json_file:
        write_json(json_file, [asdict(one) for one in found])
    print_table("Measured pulls", HEADER, [one.row() for one in found])
    console().print(summary(found))


def draw_scene(
    name: str, scene: Scene, base: str | None, text: str, grid: str, out: Path
) -> Iterator[tuple[int, Path]]:
    """The mosaics of a scene, at every seed."""
    for seed in SEEDS.get(name, (0,)):
        folder = out / f"{name}-{seed}-{grid}-{text}"
        draw_row(row_settings(text, base, scene, grid, seed), folder)
        yield seed, folder


if __name__ == "__main__":
    app()
