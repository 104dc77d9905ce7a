"""Photomosaic programs of others, run as their users run them, to compare `match` with.

A peer gets the reference and the pool of the `match` mosaic with the same prompts, seed and preset,
and leaves a picture of exactly the same tiles, which is stored as a mosaic of ours is. None is a
dependency: those that are not installed are left out.
"""

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from ..configs.errors import SmaltiError
from ..configs.files import replacing
from ..configs.methods import MatchSettings

if TYPE_CHECKING:
    import numpy as np

    from ..generate.grid import Grid
    from ..generate.store import Store

# Names in a peer's working folder. A peer sees nothing but these: metapixel-prepare passes names
# through a shell, and OpenCV cannot open every name.
REFERENCE, POOL, ENLARGED, LIBRARY, RESULT = (
    "reference.png", "pool", "enlarged.png", "library", "result.png",
)  # fmt: skip
AUGMENTED = 4  # mosaicraft: a picture, its mirror image, a brighter and a darker one


@dataclass(frozen=True)
class Peer:
    """A program that makes photomosaics."""

    remedy: str
    """How to install it."""
    version: Callable[[], str]
    """Its name and version, empty when it is not installed; raises SmaltiError."""
    make: Callable[[Path, "Grid", MatchSettings], None]
    """Make RESULT of REFERENCE and POOL in a working folder; raises SmaltiError."""


def mosaicraft_version() -> str:
    """As its package says it: its `--version` is that of an older one."""
    try:
        return f"mosaicraft {version('mosaicraft')}"
    except PackageNotFoundError:
        return ""


def metapixel_version() -> str:
    """As it says it: "metapixel 1.0.2"."""
    if not shutil.which("metapixel"):
        return ""
    printed = run_program("metapixel", ["metapixel", "--version"], Path.cwd())
    return printed.partition("\n")[0].strip()


def run_mosaicraft(work: Path, grid: "Grid", settings: MatchSettings) -> None:
    """Its default preset, which recolours pictures and takes each variant of one once.

    Where the variants are fewer than the tiles that preset refuses and names `fast`, which takes
    pictures again; hue-rotated variants, its other way out, would change what the pool shows.
    """
    tiles = len(grid.tiles)
    enough = AUGMENTED * len(list((work / POOL).glob("*.png"))) >= tiles
    words = ["generate", REFERENCE, "--tiles", POOL, "--output", RESULT,
             "--target-tiles", str(tiles), "--tile-size", str(grid.tile),
             *([] if enough else ["--preset", "fast"])]  # fmt: skip
    run_program("mosaicraft", [sys.executable, "-m", "mosaicraft", *words], work)


def run_metapixel(work: Path, grid: "Grid", settings: MatchSettings) -> None:
    """Its defaults, which change no picture but in resampling, and our distance between repeats.

    It counts that distance as `nearest_sources` does, so a pool that is large enough for `match` is
    for it too. It cuts its input into tiles as it is, so the reference is enlarged to the mosaic.
    """
    enlarge(work / REFERENCE, grid, work / ENLARGED)
    size = [f"--width={grid.tile}", f"--height={grid.tile}"]
    (work / LIBRARY).mkdir()
    prepare = "metapixel-prepare"
    run_program(prepare, [prepare, *size, POOL, LIBRARY], work, HOME=str(work))
    given, prepared = ([*(work / name).glob("*.png")] for name in (POOL, LIBRARY))
    if len(prepared) < len(given):  # of these it says nothing at the end
        raise SmaltiError(f"{prepare} took {len(prepared)} of {len(given)} pictures.")
    run_program(
        "metapixel",
        ["metapixel", *size, f"--library={LIBRARY}", f"--distance={settings.repeat_distance}",
         "--metapixel", ENLARGED, RESULT],
        work,
        HOME=str(work),  # where a user's .metapixelrc is not, which may change every default
    )  # fmt: skip


PEERS = {
    "mosaicraft": Peer("pip install mosaicraft", mosaicraft_version, run_mosaicraft),
    "metapixel": Peer("apt install metapixel", metapixel_version, run_metapixel),
}
"""By the name of the program, which is also the row's method."""


def run_program(name: str, command: Sequence[str], work: Path, **environment: str) -> str:
    """Run the program `name` in the folder `work` to its end and return what it printed.

    Raises SmaltiError, with the last line that it said, when it does not start or fails.
    """
    try:
        done = subprocess.run(
            command,
            cwd=work,
            env={**os.environ, **environment},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
        )
    except OSError as error:
        raise SmaltiError(f"{name} does not start: {error.strerror}.") from None
    if done.returncode:
        said = (done.stderr.strip() or done.stdout.strip()).splitlines() or ["it said nothing"]
        raise SmaltiError(f"{name} failed with exit code {done.returncode}: {said[-1].strip()}")
    return done.stdout


def draw_peer(
    name: str,
    store: "Store",
    identity: dict[str, Any],
    reference: Path,
    source: "Store",
    settings: MatchSettings,
) -> None:
    """Have a peer make a mosaic, and store it as `draw_mosaic` would; its folder is whole or not.

    source: the finished `match` mosaic whose pool it takes. `seconds` are the peer's own, those in
    which it prepares the pool included. Its peak memory and what it changes in pixels are unknown.

    Raises SmaltiError when the peer fails or leaves a picture of another size.
    """
    from ..generate.methods.pool import FOLDER
    from ..generate.store import REFERENCE as KEPT
    from ..generate.store import Store

    with TemporaryDirectory(prefix="smalti-") as folder:
        work = Path(folder)
        shutil.copyfile(reference, work / REFERENCE)
        (work / POOL).symlink_to((source.folder / FOLDER / "tiles").resolve())
        began = time.perf_counter()
        PEERS[name].make(work, store.grid, settings)
        seconds = round(time.perf_counter() - began, 2)
        canvas = read_canvas(name, work / RESULT, store.grid)
    with replacing(store.folder) as temporary:
        kept = Store(temporary, store.grid)
        kept.claim(identity)
        shutil.copyfile(reference, temporary / KEPT)
        write_canvas(kept, canvas)
        kept.update(
            state=f"placed by {PEERS[name].version()}",  # not "finished": no tile can be redrawn
            device=source.recorded("device"),  # that drew the pool
            metrics={"correction_energy": None},
            evaluation={"seconds": seconds, "peak_bytes": None},
        )


def enlarge(reference: Path, grid: "Grid", path: Path) -> None:
    """Write the reference at the mosaic's size, nothing cropped."""
    from PIL import Image

    tall, wide = grid.canvas_size
    with Image.open(reference) as image:
        image.convert("RGB").resize((wide, tall), Image.Resampling.BICUBIC).save(path)


def read_canvas(name: str, path: Path, grid: "Grid") -> "np.ndarray":
    """A peer's picture, 8-bit pixels [rows*tile, cols*tile, 3].

    Raises SmaltiError when there is none or it has another size.
    """
    import numpy as np
    from PIL import Image

    try:
        with Image.open(path) as image:
            pixels = np.asarray(image.convert("RGB"))
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise SmaltiError(f"{name} left no picture that can be read: {error}") from None
    (tall, wide), (high, broad) = grid.canvas_size, pixels.shape[:2]
    if (high, broad) != (tall, wide):
        raise SmaltiError(f"{name} left a picture of {broad}x{high} px, not of {wide}x{tall}.")
    return pixels


def write_canvas(store: "Store", canvas: "np.ndarray") -> None:
    """Keep 8-bit pixels [rows*tile, cols*tile, 3] as tiles and as the mosaic."""
    from ..generate.store import MOSAIC
    from ..models.pixels import write_png

    side = store.grid.tile
    for row, col in store.grid.tiles:
        tile = canvas[row * side : (row + 1) * side, col * side : (col + 1) * side]
        write_png(store.path((row, col)), tile, {})
    write_png(store.folder / MOSAIC, canvas, {})
