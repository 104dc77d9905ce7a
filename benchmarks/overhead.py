"""What starting a command costs: mosaics drawn by one engine, and by a command for each.

    python benchmarks/overhead.py                       ten drafts of 4 x 4 tiles both ways
    python benchmarks/overhead.py --mosaics 3 --grid 8x8

The same photo, prompt and seeds both ways, in one run on one machine: first by one process that
opens one engine, then by one `mosaic-gen` after the other. Both must leave the same tiles. The
second table says where a command's start goes, stage by stage in a fresh process; its first line is
`mosaic-gen --help`, which loads no model. What the base keeps on disk, the fit of its linear map,
is made before anything is timed.
"""

import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean, median
from typing import Annotated

import typer
from scenes import CONCEPTS, Scene, row_settings, sample_photo

from smalti.cli.boundary import guarded
from smalti.cli.console import console, print_table
from smalti.cli.options import Base
from smalti.configs.errors import SmaltiError
from smalti.configs.progress import silent
from smalti.configs.settings import Settings
from smalti.evaluate.processes import run_in_subprocess

PROMPT = "a hamburger"
GOAL = 5.0  # a further mosaic by the engine against a command
COMMAND = (sys.executable, "-m", "smalti.cli.gen")
ROUNDS = 3  # fresh processes whose stages are timed
HEADER = ("way", "seconds per mosaic")
STAGES = ("torch", "diffusers and transformers", "loading the base", "reading the linear map",
          "drawing", "finishing")  # fmt: skip

app = typer.Typer(pretty_exceptions_enable=False, add_completion=False)


@dataclass(frozen=True)
class EngineTimes:
    """What one process with one engine took."""

    opening: float
    """Seconds to import everything and to load the base."""
    mosaics: tuple[float, ...]
    """Seconds of each mosaic, from settings to mosaic.png."""

    @property
    def further(self) -> float:
        """Median seconds of a mosaic: the first one waits for what is imported at first use."""
        return median(self.mosaics)

    @property
    def all_in(self) -> float:
        """Mean seconds of a mosaic with the opening shared by all."""
        return (self.opening + sum(self.mosaics)) / len(self.mosaics)


def draw_with_engine(settings: Sequence[Settings], out: Path) -> EngineTimes:
    """Draw a mosaic for each of the settings by one engine; runs in a process of its own."""
    began = time.perf_counter()
    from smalti.generate.engine import open_engine
    from smalti.generate.mosaic import generate_mosaic

    engine = open_engine(settings[0].base, settings[0].mosaic.machine)
    opening, seconds = time.perf_counter() - began, []
    for number, own in enumerate(settings):
        began = time.perf_counter()
        folder = out / str(number)
        generate_mosaic(own, folder, concepts_dir=CONCEPTS, progress=silent, engine=engine)
        seconds.append(time.perf_counter() - began)
    return EngineTimes(opening, tuple(seconds))


def draw_with_commands(commands: Sequence[Sequence[str]], out: Path) -> list[float]:
    """Run `mosaic-gen` once for each list of options; the seconds of each command."""
    return [run_command([*o, "--out", str(out / str(n))]) for n, o in enumerate(commands)]


def run_command(options: Sequence[str]) -> float:
    """Seconds of one `mosaic-gen`; raises SmaltiError with what it said when it fails."""
    began = time.perf_counter()
    done = subprocess.run([*COMMAND, *options], capture_output=True, text=True)
    seconds = time.perf_counter() - began
    if done.returncode:
        raise SmaltiError(f"mosaic-gen failed with exit code {done.returncode}: {done.stderr}")
    return seconds


def time_stages(settings: Settings, folder: Path) -> dict[str, float]:
    """Seconds of each of STAGES of a command's work; runs in a fresh process."""
    return dict(zip(STAGES, _elapsed(_stages(settings, folder)), strict=True))


def _elapsed(stages: Sequence[Callable[[], object]]) -> list[float]:
    found = []
    for stage in stages:
        began = time.perf_counter()
        stage()
        found.append(time.perf_counter() - began)
    return found


def _stages(settings: Settings, folder: Path) -> list[Callable[[], object]]:
    """What a command does, one stage after the other; each goes on from what the last one left."""
    made: dict[str, object] = {}

    def load() -> None:
        from smalti.generate.engine import open_engine

        made["engine"] = open_engine(settings.base, settings.mosaic.machine)

    def draw() -> None:
        from smalti.generate.mosaic import make_tiles
        from smalti.generate.plan import plan_mosaic
        from smalti.generate.store import Store

        plan = plan_mosaic(settings, concepts_dir=CONCEPTS)
        store = Store(folder, plan.grid)
        store.claim(plan.identity)
        made["plan"], made["store"] = plan, store
        make_tiles(made["engine"], plan, store, store.missing(), silent)

    def finish_it() -> None:
        from smalti.generate.finish import finish

        finish(made["store"], made["plan"].settings, [PROMPT])

    return [
        import_torch, import_networks, load, lambda: made["engine"].base.linear_decoder, draw,
        finish_it,
    ]  # fmt: skip


def import_torch() -> None:
    """Import torch."""
    import torch  # noqa: F401


def import_networks() -> None:
    """Import the libraries that a base model's parts come from."""
    from diffusers import AutoencoderKL, UNet2DConditionModel  # noqa: F401
    from transformers import CLIPTextModel, CLIPTokenizer  # noqa: F401


def differing_tiles(one: Path, other: Path) -> int:
    """How many tiles of two mosaics differ in any byte."""
    files = sorted((one / "tiles").glob("*.png"))
    return sum(f.read_bytes() != (other / "tiles" / f.name).read_bytes() for f in files)


def command_options(
    base: str | None, preset: str, photo: Path, grid: str, seed: int
) -> list[str]:
    """The command line that says what `row_settings` does."""
    words = ["--tile-prompt", PROMPT, "--ref", str(photo), "--preset", preset, "--grid", grid]
    return [*words, "--seed", str(seed), *(["--base", base] if base else [])]


@app.command()
@guarded("Take --grid 2x2.")
def main(
    *,
    base: Base = None,
    mosaics: Annotated[int, typer.Option(min=1, help="How many, both ways.")] = 10,
    preset: Annotated[str, typer.Option(help="Mosaic preset.")] = "draft",
    grid: Annotated[str, typer.Option(help="ROWSxCOLS.")] = "4x4",
) -> None:
    """Draw mosaics by one engine and by commands, and say what starting a command costs."""
    with tempfile.TemporaryDirectory() as name:
        work = Path(name)
        photo = sample_photo(work / "astronaut.png")
        scene = Scene({"tile_prompt": (PROMPT,), "ref": str(photo)})
        settings = [row_settings(preset, base, scene, grid, seed) for seed in range(mosaics)]
        commands = [command_options(base, preset, photo, grid, seed) for seed in range(mosaics)]
        draw_with_commands(commands[:1], work / "warm-up")
        engine = run_in_subprocess(draw_with_engine, settings, work / "engine")
        by_command = draw_with_commands(commands, work / "commands")
        stages = [
            run_in_subprocess(time_stages, settings[0], work / f"stages-{n}") for n in range(ROUNDS)
        ]
        pairs = [(work / "engine" / str(n), work / "commands" / str(n)) for n in range(mosaics)]
        different = sum(differing_tiles(*pair) for pair in pairs)
    show(engine, by_command, stages, run_command(["--help"]), different)


def show(
    engine: EngineTimes,
    commands: Sequence[float],
    stages: Sequence[dict[str, float]],
    help_seconds: float,
    different: int,
) -> None:
    """Print both tables, the ratio, and whether both ways drew the same."""
    count, command = len(engine.mosaics), fmean(commands)
    rows = [
        ("one engine, each further mosaic", f"{engine.further:.2f}"),
        ("one engine, its opening shared by all", f"{engine.all_in:.2f}"),
        ("mosaic-gen for each", f"{command:.2f}"),
    ]
    print_table(f"{count} mosaics, opening the engine {engine.opening:.2f} s", HEADER, rows)
    ratio, shared = command / engine.further, command / engine.all_in
    console().print(
        f"A command takes {ratio:.1f} times as long as a further mosaic of the engine (goal: "
        f"{GOAL:g}), {shared:.1f} times with the opening shared. Tiles that differ: {different}."
    )
    medians = {"Python and the command line": help_seconds}
    medians |= {stage: median(found[stage] for found in stages) for stage in STAGES}
    shares = [(name, f"{s:.2f}", f"{s / sum(medians.values()):.0%}") for name, s in medians.items()]
    print_table("Where a command's time goes", ("stage", "seconds", "share"), shares)


if __name__ == "__main__":
    app()
