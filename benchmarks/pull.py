"""How much pull a reference needs: the SSIM@64 that smalti expects, and what mosaics have.

    python benchmarks/pull.py                        seven scenes at four pulls, and the fit
    python benchmarks/pull.py --scenes photo --pulls 0.25

The table behind the constants of `smalti/generate/guidance/strength.py`, which chooses the pull
where none is given. The last column is what the constants fitted to all other scenes expect. The
concepts must be trained. Mosaics stay in --out and are not drawn again; delete it after a change of
code.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Annotated

import numpy as np
import typer
from scenes import Scene, draw_row, row_settings, scenes
from torch import Tensor

from smalti.cli.boundary import guarded
from smalti.cli.console import console, print_table
from smalti.cli.options import Base
from smalti.evaluate.pictures import read_images
from smalti.evaluate.selection import choose_names
from smalti.generate.guidance.strength import FITTED, Fit, expected_ssim, local_variance
from smalti.models.metrics import at_resolution, ssim

HEADER = ("scene", "seed", "pull", "SSIM@64", "expected", "from other scenes")
SEEDS = {"demo": (0, 1, 2)}  # references that differ; of the others the first alone

app = typer.Typer(pretty_exceptions_enable=False, add_completion=False)


@dataclass(frozen=True)
class Measured:
    """One mosaic."""

    scene: str
    seed: int
    pull: float
    ssim: float
    """SSIM@64."""
    contrast: Tensor
    """Local variances of its reference (`local_variance`), fp64."""

    def expected(self, fit: Fit) -> float:
        """The SSIM@64 that constants promise."""
        return expected_ssim(self.contrast, self.pull, fit)


def measure(scene: str, seed: int, pull: float, folder: Path) -> Measured:
    """Read a finished mosaic."""
    mosaic, reference = read_images([folder / "mosaic.png", folder / "reference.png"])
    contrast = local_variance(at_resolution(reference)).double()  # the fit differentiates by steps
    return Measured(scene, seed, pull, ssim(mosaic, reference), contrast)


def fitted(found: Sequence[Measured]) -> Fit:
    """The constants that fit mosaics best, by least squares of SSIM."""
    from scipy.optimize import least_squares

    def errors(constants: np.ndarray) -> list[float]:
        return [one.expected(Fit(*constants)) - one.ssim for one in found]

    start = np.array(FITTED)
    return Fit(*least_squares(errors, start, x_scale=start, bounds=(0, np.inf)).x)


def table(found: Sequence[Measured]) -> list[tuple[str, ...]]:
    """The rows of the table."""
    names = dict.fromkeys(one.scene for one in found)
    without = {name: [one for one in found if one.scene != name] for name in names}
    fits = {name: fitted(others) if others else FITTED for name, others in without.items()}
    return [
        (one.scene, str(one.seed), f"{one.pull:g}", f"{one.ssim:.3f}",
         f"{one.expected(FITTED):.3f}", f"{one.expected(fits[one.scene]):.3f}")
        for one in found
    ]  # fmt: skip


@app.command()
@guarded("Close other programs.")
def main(
    *,
    base: Base = None,
    chosen: Annotated[str, typer.Option("--scenes", help="Names, comma-separated.")] = "all",
    pulls: Annotated[str, typer.Option(help="Comma-separated.")] = "0.15,0.2,0.25,0.32",
    grid: Annotated[str, typer.Option(help="ROWSxCOLS.")] = "8x8",
    out: Annotated[Path, typer.Option(help="Where mosaics stay.")] = Path("runs/benchmarks/pull"),
) -> None:
    """Draw every scene at every pull; print expected and found SSIM, and the best constants."""
    known, found = scenes(out), []
    strengths = [float(pull) for pull in pulls.split(",")]
    for name in choose_names(chosen, known, "scene"):
        for one in draw_scene(name, known[name], base, strengths, grid, out):
            print(name, one.seed, one.pull, f"{one.ssim:.3f}", sep="  ", flush=True)
            found.append(one)
    print_table(grid, HEADER, table(found))
    for label, fit in (("In use", FITTED), ("Best fit of all", fitted(found))):
        off = fmean((one.expected(fit) - one.ssim) ** 2 for one in found) ** 0.5
        constants = f"p = {fit.pulls:.2f}, T = {fit.tile_variance:.4f}"
        console().print(f"{label}: {constants}, off by {off:.3f} (root mean square).")


def draw_scene(
    name: str, scene: Scene, base: str | None, pulls: Sequence[float], grid: str, out: Path
) -> Iterator[Measured]:
    """The mosaics of a scene at every pull and seed."""
    for seed in SEEDS.get(name, (0,)):
        for pull in pulls:
            folder = out / f"{name}-{seed}-{pull:g}-{grid}"
            text = f"fast+guidance_strength={pull}"
            draw_row(row_settings(text, base, scene, grid, seed), folder)
            yield measure(name, seed, pull, folder)


if __name__ == "__main__":
    app()
