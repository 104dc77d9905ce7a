"""What several benchmarks draw: references and tiles of every kind, at the settings of a row."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from smalti.configs.base import BaseSettings
from smalti.configs.loading import resolve
from smalti.configs.machine import MachineSettings
from smalti.configs.settings import Settings

if TYPE_CHECKING:
    from smalti.generate.engine import Engine

CONCEPTS = Path("concepts")
TABLED = ("photo", "demo")
"""The scenes of the docs' tables."""


@dataclass(frozen=True)
class Scene:
    """What a mosaic shows, and how its tiles are judged."""

    options: Mapping[str, Any]
    """Mosaic settings by name."""
    concept: str = ""
    """The concept whose photos tiles are compared with; without one, words."""


def scenes(folder: Path, pair: tuple[str, str] = ("sylvie", "eileen")) -> dict[str, Scene]:
    """References of much and of little contrast, with subjects and concepts; photos in `folder`.

    pair: the two concepts that scenes show.
    """
    first, second = pair
    astronaut, chelsea, coffee = (
        str(sample_photo(folder / f"{name}.png")) for name in ("astronaut", "chelsea", "coffee")
    )
    return {
        "photo": Scene({"tile_prompt": ("a hamburger",), "ref": astronaut}),
        "demo": Scene({"tile_lora": (first,), "ref_lora": second}, concept=first),
        "reverse": Scene({"tile_lora": (second,), "ref_lora": first}),
        "cats": Scene({"tile_prompt": ("a cat",), "ref": chelsea}),
        "cups": Scene({"tile_prompt": ("a coffee cup",), "ref": coffee}),
        "sylvies": Scene({"tile_lora": (first,), "ref": astronaut}),
        "cars": Scene({"tile_prompt": ("a car",), "ref_prompt": "a cat on a red background"}),
    }


def sample_photo(path: Path) -> Path:
    """A photo that scikit-image ships, written to `path` unless it is there; its stem names it.

    The middle square, at 512 px: "astronaut", "chelsea" (a cat), "coffee".
    """
    from PIL import Image, ImageOps
    from skimage import data

    if not path.is_file():
        path.parent.mkdir(parents=True, exist_ok=True)
        picture = Image.fromarray(getattr(data, path.stem)())
        ImageOps.fit(picture, (512, 512)).save(path)
    return path


def row_settings(text: str, base: str | None, scene: Scene, grid: str, seed: int) -> Settings:
    """Settings of "PRESET+key=value,key=value" for a scene; raises InputError as `resolve` does."""
    preset, _, changes = text.partition("+")
    overrides = [f"mosaic.{change}" for change in changes.split(",") if change]
    options = {**scene.options, "grid": grid, "seed": seed}
    options = {f"mosaic.{name}": value for name, value in options.items()}
    return resolve(base=base, mosaic=preset, options=options, overrides=overrides)


@cache
def engine_for(base: BaseSettings, machine: MachineSettings) -> "Engine":
    """The process's engine for a base and a way to compute; opened at first use."""
    from smalti.generate.engine import open_engine

    return open_engine(base, machine)


def draw_row(settings: Settings, folder: Path) -> float:
    """Draw a mosaic into `folder` unless it is there; seconds of drawing its tiles."""
    from smalti.evaluate.drawing import timed_mosaic

    engine = engine_for(settings.base, settings.mosaic.machine)
    return timed_mosaic(engine, settings, folder, concepts_dir=CONCEPTS)
