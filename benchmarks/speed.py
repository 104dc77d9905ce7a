"""Presets side by side in one run: seconds and peak memory of a mosaic, and where the time goes.

    python benchmarks/speed.py                                    the starter, 64 tiles a preset
    python benchmarks/speed.py --presets fast,draft --tiles 16,64,256     how cost grows
    python benchmarks/speed.py --base-architecture sd21           SD 2.1's size; wants a GPU

Each mosaic is drawn in a process of its own, so that peak memory is its own. Seconds are those of
drawing and storing the tiles with the base model loaded; text, UNet, guide and decoding are shares
of them, and a guide's backward pass through the UNet counts as the guide's. On a machine that does
other things meanwhile, only ratios within one table mean anything.

`--base-architecture sd21` draws with random weights in Stable Diffusion 2.1's sizes, because time
and memory do not depend on what weights know; the files are made at first use.
"""

import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer
from architectures import ARCHITECTURES, random_base

from smalti.cli.boundary import guarded
from smalti.cli.console import console, print_table
from smalti.cli.options import Base, Overrides
from smalti.configs.errors import InputError
from smalti.configs.loading import preset_names, resolve
from smalti.configs.settings import Settings

HEADER = ("preset", "tiles", "s", "times faster", "text", "UNet", "guide", "decode", "rest",
          "peak memory, GiB")  # fmt: skip
PARTS = ("text", "UNet", "guide", "decode")
PROMPT = "a hamburger"
GRIDS = {1: "1x1", 4: "2x2", 16: "4x4", 64: "8x8", 256: "16x16"}

app = typer.Typer(pretty_exceptions_enable=False, add_completion=False)


@dataclass(frozen=True)
class Cost:
    """What one mosaic cost."""

    seconds: float
    """Drawing and storing all tiles."""
    parts: dict[str, float]
    """Seconds of each of PARTS."""
    memory: int
    """Peak bytes: of the process on a CPU, of torch's allocator on a GPU."""


class Clock:
    """Adds up the seconds of named parts; a part inside another counts for the outer one."""

    def __init__(self, settle: Callable[[], object] = lambda: None) -> None:
        """Call `settle` before every reading, so that a GPU's queue is empty."""
        self.settle = settle
        self.parts = dict.fromkeys(PARTS, 0.0)
        self._inside = False

    def timed(self, part: str, function: Callable[..., Any]) -> Callable[..., Any]:
        """A function that does the same and is counted."""

        def counted(*args: Any, **options: Any) -> Any:
            if self._inside:
                return function(*args, **options)
            self.settle()
            self._inside, began = True, time.perf_counter()
            try:
                return function(*args, **options)
            finally:
                self.settle()
                self.parts[part] += time.perf_counter() - began
                self._inside = False

        return counted


@contextmanager
def watching(studio: Any, clock: Clock) -> Iterator[None]:
    """Within it, the studio's text encoding, UNet, guides and decoding are counted."""
    from unittest.mock import patch

    from smalti.generate import studio as module

    def guide(*args: Any) -> Any:
        found = make(*args)
        if found is not None:
            kind = type(found)
            timed = type(kind.__name__, (kind,), {"__call__": clock.timed("guide", kind.__call__)})
            found.__class__ = timed
        return found

    base, make = studio.base, module.make_guide
    with (
        patch.object(module, "encode_subjects", clock.timed("text", module.encode_subjects)),
        patch.object(module, "make_guide", clock.timed("guide", guide)),
        patch.object(base.unet, "forward", clock.timed("UNet", base.unet.forward)),
        patch.object(base, "decode", clock.timed("decode", base.decode)),
    ):
        yield


def measure(settings: Settings, folder: str) -> Cost:
    """Draw the mosaic of `settings` into an empty folder; runs in a process of its own."""
    import torch
    from mosaics import open_mosaic, timed_tiles

    from smalti.generate.evaluate.drawing import peak_bytes

    studio = open_mosaic(settings, Path(folder))
    on_gpu = studio.base.device.type == "cuda"
    clock = Clock(torch.cuda.synchronize if on_gpu else lambda: None)
    with watching(studio, clock):
        seconds = timed_tiles(studio)
    return Cost(seconds, clock.parts, peak_bytes(studio.base.device.type))


def rows(costs: list[tuple[str, int, Cost]]) -> list[tuple[str, ...]]:
    """Rows of the table; "times faster" compares with the first row of as many tiles."""
    firsts: dict[int, float] = {}
    found = []
    for preset, tiles, cost in costs:
        first = firsts.setdefault(tiles, cost.seconds)
        shares = [cost.parts[part] / cost.seconds for part in PARTS]
        shown = [f"{100 * share:.0f} %" for share in (*shares, 1 - sum(shares))]
        gib = f"{cost.memory / 2**30:.2f}"
        times = f"{first / cost.seconds:.1f}"
        found.append((preset, str(tiles), f"{cost.seconds:.1f}", times, *shown, gib))
    return found


@app.command()
@guarded("Take --tiles 1.")
def main(
    *,
    base: Base = None,
    architecture: Annotated[
        str | None,
        typer.Option(
            "--base-architecture",
            metavar="NAME",
            help=f"Random weights in the sizes of: {', '.join(ARCHITECTURES)}.",
        ),
    ] = None,
    presets: Annotated[
        str, typer.Option(help=f"Of {', '.join(preset_names('mosaic'))}; the first is compared to.")
    ] = "paper,fine,fast,draft",
    tiles: Annotated[str, typer.Option(help="Numbers of tiles, comma-separated.")] = "64",
    overrides: Overrides = None,
) -> None:
    """Draw a mosaic with each preset at each number of tiles, and say what it cost."""
    import torch

    if unknown := [n for n in tiles.split(",") if n not in map(str, GRIDS)]:
        raise InputError(f'--tiles takes {", ".join(map(str, GRIDS))}, not "{unknown[0]}".')
    if architecture:
        base = str(random_base(architecture, Path("runs/benchmarks/architectures")))
    costs = []
    for count in (int(n) for n in tiles.split(",")):
        for preset in presets.split(","):
            options = {"mosaic.grid": GRIDS[count], "mosaic.tile_prompt": (PROMPT,)}
            settings = resolve(base=base, mosaic=preset, options=options, overrides=overrides or ())
            console().print(f"{preset}, {count} tiles", style="dim")
            costs.append((preset, count, measured(settings)))
    name = torch.cuda.get_device_name() if torch.cuda.is_available() else "CPU"
    said = f"random weights of {architecture}'s size" if architecture else settings.base.name
    print_table(f"{said} on {name}, {torch.get_num_threads()} threads", HEADER, rows(costs))


def measured(settings: Settings) -> Cost:
    """`measure` in a fresh process, with the astronaut's portrait as the reference."""
    from dataclasses import replace

    from mosaics import photo

    from smalti.generate.evaluate.drawing import apart

    with tempfile.TemporaryDirectory() as folder:
        reference = photo(Path(folder) / "astronaut.png")
        settings = replace(settings, mosaic=replace(settings.mosaic, ref=str(reference)))
        return apart(measure, settings, f"{folder}/mosaic")


if __name__ == "__main__":
    app()
