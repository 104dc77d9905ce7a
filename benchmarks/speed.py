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
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from architectures import ARCHITECTURES, random_base
from scenes import sample_photo

from smalti.cli.boundary import guarded
from smalti.cli.console import console, print_table
from smalti.cli.options import Base, Overrides
from smalti.configs.errors import InputError
from smalti.configs.files import write_json
from smalti.configs.loading import resolve
from smalti.configs.mosaic import changed
from smalti.configs.presets import preset_names
from smalti.configs.settings import Settings
from smalti.evaluate.processes import peak_memory, run_in_subprocess
from smalti.evaluate.selection import choose_names
from smalti.evaluate.timing import PartTimer

if TYPE_CHECKING:
    from smalti.generate.engine import Engine

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
    psnr: float
    """PSNR@64 of the mosaic, dB."""
    ssim: float
    """Its SSIM@64."""


@contextmanager
def counting(engine: "Engine", timer: PartTimer) -> Iterator[None]:
    """Within it, text encoding, the UNet, guides and decoding count for their parts."""
    from unittest.mock import patch

    from smalti.generate.guidance import making

    def guide(*arguments: Any) -> Any:
        found = make(*arguments)
        if found is not None:
            kind = type(found)
            call = timer.timed("guide", kind.__call__)
            found.__class__ = type(kind.__name__, (kind,), {"__call__": call})
        return found

    base, make = engine.base, making.make_guide
    with (
        patch.object(engine, "encode", timer.timed("text", engine.encode)),
        patch.object(making, "make_guide", timer.timed("guide", guide)),
        patch.object(base.unet, "forward", timer.timed("UNet", base.unet.forward)),
        patch.object(base, "decode", timer.timed("decode", base.decode)),
    ):
        yield


def measure(settings: Settings, folder: Path) -> Cost:
    """Draw the mosaic of `settings` into an empty folder; runs in a process of its own."""
    import torch

    from smalti.evaluate.drawing import timed_mosaic
    from smalti.generate.engine import open_engine
    from smalti.generate.store import read_record

    engine = open_engine(settings.base, settings.mosaic.machine)
    device = engine.base.device.type
    timer = PartTimer(PARTS, torch.cuda.synchronize if device == "cuda" else lambda: None)
    seconds = timed_mosaic(engine, settings, folder, around=counting(engine, timer))
    metrics = (read_record(folder) or {})["metrics"]
    fidelity = metrics["psnr_64"], metrics["ssim_64"]
    return Cost(seconds, timer.seconds, peak_memory(device), *fidelity)


def rows(costs: Sequence[tuple[str, int, Cost]]) -> list[tuple[str, ...]]:
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


Architecture = Annotated[
    str | None,
    typer.Option(
        "--base-architecture",
        metavar="NAME",
        help=f"Random weights in the sizes of: {', '.join(ARCHITECTURES)}.",
    ),
]
Presets = Annotated[
    str, typer.Option(help=f"Of {', '.join(preset_names('mosaic'))}; the first is compared to.")
]


@app.command()
@guarded("Take --tiles 1.")
def main(
    *,
    base: Base = None,
    architecture: Architecture = None,
    presets: Presets = "paper,fine,fast,draft",
    tiles: Annotated[str, typer.Option(help="Numbers of tiles, comma-separated.")] = "64",
    overrides: Overrides = None,
    json_file: Annotated[
        Path | None, typer.Option("--json", metavar="FILE", help="Write all numbers there.")
    ] = None,
) -> None:
    """Draw a mosaic with each preset at each number of tiles, and say what it cost."""
    import torch

    counts, names = choose_counts(tiles), choose_names(presets, preset_names("mosaic"), "preset")
    if architecture:
        base = str(random_base(architecture, Path("runs/benchmarks/architectures")))
    costs = []
    for count in counts:
        for preset in names:
            options = {"mosaic.grid": GRIDS[count], "mosaic.tile_prompt": (PROMPT,)}
            settings = resolve(base=base, mosaic=preset, options=options, overrides=overrides or ())
            console().print(f"{preset}, {count} tiles", style="dim")
            costs.append((preset, count, measure_apart(settings)))
    if json_file:
        write_json(json_file, [{"preset": p, "tiles": n, **asdict(cost)} for p, n, cost in costs])
    name = torch.cuda.get_device_name() if torch.cuda.is_available() else "CPU"
    drawn_by = f"random weights of {architecture}'s size" if architecture else settings.base.name
    print_table(f"{drawn_by} on {name}, {torch.get_num_threads()} threads", HEADER, rows(costs))


def choose_counts(text: str) -> list[int]:
    """Read numbers of tiles; raises InputError for one that is no square of ours."""
    known = {str(count): count for count in GRIDS}
    if unknown := [part for part in text.split(",") if part not in known]:
        raise InputError(f'--tiles takes {", ".join(known)}, not "{unknown[0]}".')
    return [known[part] for part in text.split(",")]


def measure_apart(settings: Settings) -> Cost:
    """`measure` in a fresh process, with the astronaut's portrait as the reference."""
    with tempfile.TemporaryDirectory() as folder:
        reference = sample_photo(Path(folder) / "astronaut.png")
        mosaic = changed(settings.mosaic, ref=str(reference))
        settings = replace(settings, mosaic=mosaic)
        return run_in_subprocess(measure, settings, Path(folder) / "mosaic")


if __name__ == "__main__":
    app()
