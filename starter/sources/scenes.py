"""Scenes to fill a picture with: views into panoramas, and painted backgrounds.

Ren'Py's demo games also hold characters. They are the sample concepts that users train, so the base
model must never see them: only the backgrounds are unpacked and read.
"""

import base64
import re
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image

from ...configs.errors import InputError
from .downloads import Packages
from .facts import read_facts
from .raster import SIZE, square
from .records import Corpus, Origin

POLY_HAVEN = Origin(
    source="npm:@pmndrs/assets",
    license="CC0-1.0",
    author="Poly Haven HDRIs via @pmndrs/assets",
    style="photo",
    kind="photo",
    group="scene",
)
BLENDER = Origin(
    source="deb:blender-data",
    license="CC0-1.0",
    author="Greg Zaal / HDRI Haven via Blender",
    style="photo",
    kind="photo",
    group="scene",
)
GAMES = {
    "deb:renpy-thequestion": "usr/share/games/renpy/the_question/game/images",
    "deb:renpy-demo": "usr/share/games/renpy/demo/game/images",
}
GAME_AUTHOR = "Ren'Py (Tom Rothamel et al.)"

YAWS = range(0, 360, 30)
VIEWS = ((0, 90), (8, 75))
"""(pitch, field of view) in degrees; two views for every yaw."""

MAX_RADIANCE = 30
"""The sun is clipped to this, so that interpolation does not smear it."""


def collect(packages: Packages, corpus: Corpus) -> None:
    """Add the backgrounds, then the views into all panoramas."""
    for source, folder in GAMES.items():
        add_backgrounds(packages.folder(source) / folder, source, corpus)
    _collect_panoramas(packages, corpus)


def add_backgrounds(folder: Path, source: str, corpus: Corpus) -> None:
    """Add left, middle and right of a game's backgrounds, the files that `photos.toml` names."""
    origin = Origin(source, "MIT", GAME_AUTHOR, "painted background", "scene", "scene")
    for name, captions in read_facts("photos")["backgrounds"].items():
        path = folder / f"bg {name}.jpg"
        if path.is_file():
            image = Image.open(path).convert("RGBA")
            for position in (0, 0.5, 1):
                corpus.add(square(image, position), captions, ["background", "scene"], origin)


def _collect_panoramas(packages: Packages, corpus: Corpus) -> None:
    haven = packages.folder(POLY_HAVEN.source)
    world = packages.folder(BLENDER.source) / "usr/share/blender/datafiles/studiolights/world"
    facts = read_facts("photos")
    for name, captions in sorted(facts["panoramas"].items()):
        script = (haven / f"hdri/{name}.exr.js").read_text(encoding="utf-8")
        data = re.search(r"base64,([^'\"]+)", script)
        with tempfile.NamedTemporaryFile(suffix=".exr") as file:
            file.write(base64.b64decode(data[1]))
            file.flush()
            add_views(read_panorama(Path(file.name)), captions, "night" in name, POLY_HAVEN, corpus)
    for name, captions in sorted(facts["blender_panoramas"].items()):
        panorama = read_panorama(world / f"{name}.exr")
        add_views(panorama, captions, "night" in name, BLENDER, corpus)


def read_panorama(path: Path) -> np.ndarray:
    """Radiance [H, W, 3] of an equirectangular OpenEXR file, 0 to 100, with a white sun.

    Raises:
        InputError: OpenEXR is not installed.
    """
    try:
        import OpenEXR
    except ImportError as error:
        raise InputError('OpenEXR is missing: pip install "smalti[corpus]".') from error
    channels = OpenEXR.File(str(path)).channels()
    if "RGB" in channels:
        radiance = channels["RGB"].pixels
    else:
        radiance = np.stack([channels[name].pixels for name in "RGB"], axis=-1)
    radiance = np.nan_to_num(radiance.astype(np.float32), nan=100.0, posinf=100.0).clip(0, 100)
    brightest = radiance.max(axis=-1, keepdims=True)
    return np.where(brightest > 25, brightest, radiance)


def add_views(
    panorama: np.ndarray, captions: list[str], dark: bool, origin: Origin, corpus: Corpus
) -> None:
    """Add views all around a panorama [H, W, 3]."""
    for yaw in YAWS:
        for pitch, field in VIEWS:
            pixels = expose(look(panorama, yaw, pitch, field), 0.10 if dark else 0.2)
            image = Image.fromarray(pixels).convert("RGBA")
            corpus.add(image, captions, ["photo", "scene", "background"], origin)


def look(panorama: np.ndarray, yaw: float, pitch: float, field: float) -> np.ndarray:
    """Perspective view [128, 128, 3] into an equirectangular panorama [H, W, 3]; angles in degrees.

    Yaw turns right, pitch looks up; `field` is the angle across the picture.
    """
    height, width = panorama.shape[:2]
    right, up, ahead = _turn_up(_rays(field), np.radians(pitch))
    longitude = np.arctan2(right, ahead) + np.radians(yaw)
    latitude = np.arcsin(np.clip(up, -1, 1))
    column = (longitude / (2 * np.pi) + 0.5) % 1 * width - 0.5
    row = np.clip((0.5 - latitude / np.pi) * height - 0.5, 0, height - 1.001)
    return _sample(np.minimum(panorama, MAX_RADIANCE), row, column)


def _rays(field: float) -> np.ndarray:
    """Unit vectors (right, up, ahead) through the pixels, [128, 128, 3]."""
    steps = ((np.arange(SIZE) + 0.5) / SIZE * 2 - 1) * np.tan(np.radians(field / 2))
    right, up = np.meshgrid(steps, -steps)
    rays = np.stack([right, up, np.ones_like(right)], axis=-1)
    return rays / np.linalg.norm(rays, axis=-1, keepdims=True)


def _turn_up(rays: np.ndarray, angle: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    right, up, ahead = np.moveaxis(rays, -1, 0)
    cos, sin = np.cos(angle), np.sin(angle)
    return right, up * cos + ahead * sin, ahead * cos - up * sin


def _sample(image: np.ndarray, row: np.ndarray, column: np.ndarray) -> np.ndarray:
    """Bilinear samples of an image [H, W, C] that wraps around in columns."""
    top, left = np.floor(row).astype(int), np.floor(column).astype(int)
    down, across = (row - top)[..., None], (column - left)[..., None]
    first, second = left % image.shape[1], (left + 1) % image.shape[1]
    upper = image[top, first] * (1 - across) + image[top, second] * across
    lower = image[top + 1, first] * (1 - across) + image[top + 1, second] * across
    return upper * (1 - down) + lower * down


def expose(radiance: np.ndarray, key: float) -> np.ndarray:
    """Tone-map radiance [H, W, 3] to sRGB bytes (Reinhard et al. 2002, Eq. 1-4, white point 3).

    `key` is the value that the average of log luminance is brought to.
    """
    average = np.exp(np.log(radiance.mean(axis=-1) + 1e-3).mean())
    scaled = radiance * key / average
    mapped = np.clip(scaled * (1 + scaled / 9) / (1 + scaled), 0, 1)
    return (mapped ** (1 / 2.2) * 255).astype(np.uint8)
