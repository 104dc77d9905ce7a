"""How well a few tiles tell the SSIM@64 of their mosaic: what is expected, and what came out.

    python benchmarks/outlook.py mosaics/mine mosaics/other

Of finished mosaics that one strength pulled (`--guidance-strength 0.25`): the mean of what 3 and 16
of their tiles promise, chosen eight times, and its deviation. Draws nothing.
"""

from collections.abc import Mapping
from pathlib import Path
from random import Random
from statistics import fmean, pstdev
from typing import Annotated

import typer

from smalti.cli.boundary import guarded
from smalti.cli.console import print_table
from smalti.configs.errors import InputError
from smalti.generate.grid import Tile
from smalti.generate.guidance.calibration import Outlook, Seen, View

COUNTS, TIMES = (3, 16), 8
HEADER = ("mosaic", "pull", "SSIM@64", *(f"from {count} tiles" for count in COUNTS))

app = typer.Typer(pretty_exceptions_enable=False, add_completion=False)


def promised(view: View, seen: Mapping[Tile, Seen], count: int) -> tuple[float, float]:
    """Mean and deviation of the SSIM@64 that `count` tiles promise at their own strength."""
    random, found = Random(count), []
    for _ in range(TIMES):
        some = {tile: seen[tile] for tile in random.sample(sorted(seen), min(count, len(seen)))}
        found.append(Outlook(view, some).ssim(next(iter(some.values())).strength))
    return fmean(found), pstdev(found)


def read(folder: Path) -> tuple[View, dict[Tile, Seen], float]:
    """A finished mosaic: its view, its tiles, and its SSIM@64."""
    from smalti.configs.loading import resolve
    from smalti.generate.grid import make_grid
    from smalti.generate.guidance.calibration import view_of
    from smalti.generate.store import RECORD, Store, read_record

    record = read_record(folder) or {}
    if "metrics" not in record or "guidance_strength" not in record or "pull" in record:
        raise InputError(f"{folder} holds no finished mosaic that one given strength pulled.")
    settings = resolve(config=folder / RECORD)
    store, picture = Store(folder, make_grid(settings)), settings.mosaic.picture
    view = view_of(store.reference(), store.grid, picture.low_pass_cells)
    strength = record["guidance_strength"]
    seen = {tile: Seen(strength, store.image(tile)) for tile in store.grid.tiles}
    return view, seen, record["metrics"]["ssim_64"]


@app.command()
@guarded("Close other programs.")
def main(folders: Annotated[list[Path], typer.Argument(help="Finished mosaics.")]) -> None:
    """Print what tiles promise, and what came out."""
    rows = []
    for folder in folders:
        view, seen, found = read(folder)
        told = (promised(view, seen, count) for count in COUNTS)
        cells = (f"{mean:.3f} ± {deviation:.3f}" for mean, deviation in told)
        strength = next(iter(seen.values())).strength
        rows.append((folder.name, f"{strength:g}", f"{found:.3f}", *cells))
    print_table("What tiles promise", HEADER, rows)


if __name__ == "__main__":
    app()
