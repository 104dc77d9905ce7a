"""Robots, monsters and cats that Robohash stacks from layers; we draw our own random stacks."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from random import Random

import numpy as np
from PIL import Image

from .color_names import PAINT_COLORS, color_name
from .downloads import Packages
from .raster import fit
from .records import Corpus, Origin

CANVAS = (300, 300)
"""Size of the layers in pixels."""

ROBOTS_PER_COLOR, ROBOT_HEADS, MONSTERS, CATS_PER_BODY = 36, 160, 160, 34

PAINTED_ROBOTS = Origin(
    source="pypi:robohash/set1",
    license="CC-BY-4.0",
    author="Zikri Kader",
    style="cartoon drawing",
    kind="character",
    group="robot",
)
HEADS = replace(
    PAINTED_ROBOTS,
    source="pypi:robohash/set3",
    license="CC-BY-3.0",
    author="Julian Peter Arias",
    style="painted drawing",
)
ALIENS = replace(
    HEADS,
    source="pypi:robohash/set2",
    author="Hrvoje Novakovic",
    style="comic drawing",
    group="monster",
)
CATS = replace(
    PAINTED_ROBOTS,
    source="pypi:robohash/set4",
    author="David Revoy",
    style="cartoon painting",
    group="animals-nature/cat",
)

CAT_COLORS = (
    *("dark red", "green", "black", "gray purple", "red", "tan", "pink", "brown", "blue"),
    *("yellow", "golden brown", "gray", "light brown", "cream white", "orange"),
)
"""Colours of the cats' bodies, in the order of their files."""


def collect(packages: Packages, corpus: Corpus) -> None:
    """Add random stacks of all four sets."""
    sets = packages.folder("pypi:robohash") / "robohash/sets"
    random = Random(11)
    for folder in sorted((sets / "set1").iterdir()):
        _collect_robots(folder, random, corpus)
    _collect_heads(sets / "set3", random, corpus)
    _collect_monsters(sets / "set2", random, corpus)
    _collect_cats(sets / "set4", random, corpus)


def read_layers(folder: Path) -> list[list[Path]]:
    """The choices for each layer, bottom layer first; folders are called "NAME#ORDER"."""
    folders = sorted(sorted(folder.iterdir()), key=lambda path: path.name.split("#")[1])
    return [sorted(layer.iterdir()) for layer in folders]


def stack(layers: Sequence[Path]) -> Image.Image | None:
    """Paint layers over one another and fit the result."""
    canvas = Image.new("RGBA", CANVAS)
    for path in layers:
        layer = Image.open(path).convert("RGBA")
        if layer.size != CANVAS:
            layer = layer.resize(CANVAS, Image.Resampling.LANCZOS)
        canvas.alpha_composite(layer)
    return fit(canvas, margin=3)


def _pick(layers: list[list[Path]], random: Random) -> list[Path]:
    return [random.choice(choices) for choices in layers]


def _collect_robots(folder: Path, random: Random, corpus: Corpus) -> None:
    color = folder.name.replace("grey", "gray")
    layers = read_layers(folder)
    names = [f"{color} robot", "robot", f"a {color} robot", "cartoon robot"]
    tags = ["robot", "machine", "android", "toy", "metal", color]
    for choice in dict.fromkeys(tuple(_pick(layers, random)) for _ in range(ROBOTS_PER_COLOR)):
        corpus.add(stack(choice), names, tags, PAINTED_ROBOTS)


def _collect_heads(folder: Path, random: Random, corpus: Corpus) -> None:
    layers = read_layers(folder)
    for _ in range(ROBOT_HEADS):
        image = stack(_pick(layers, random))
        color = paint_color(image)
        names = [f"{color} robot head", "robot head", "robot face", f"{color} robot"]
        corpus.add(image, names, ["robot", "machine", "face", color], HEADS)


def paint_color(image: Image.Image) -> str:
    """Name of the median colour of a drawing's saturated pixels, of all pixels when few are."""
    pixels = np.asarray(image).reshape(-1, 4)
    pixels = pixels[pixels[:, 3] > 200][:, :3]
    saturated = pixels[np.ptp(pixels.astype(int), axis=1) > 60]
    median = np.median(saturated if len(saturated) > 200 else pixels, axis=0)
    return color_name(tuple(median.astype(int)), PAINT_COLORS)


def _collect_monsters(folder: Path, random: Random, corpus: Corpus) -> None:
    layers = read_layers(folder)
    names = ["monster", "alien monster", "monster portrait", "cartoon monster"]
    for _ in range(MONSTERS):
        image = stack(_pick(layers, random))
        corpus.add(image, names, ["monster", "alien", "creature"], ALIENS)


def _collect_cats(folder: Path, random: Random, corpus: Corpus) -> None:
    """Cats in every colour of body; every third one without accessories (the upper layers)."""
    bodies, *layers = [sorted(layer.iterdir()) for layer in sorted(folder.iterdir())]
    for body, color in zip(bodies, CAT_COLORS, strict=True):
        names = [f"{color} cat", "cat", f"a {color} kitten", "sitting cat", "cute cat"]
        tags = ["cat", "kitten", "animal", "pet", *color.split()]
        for index in range(CATS_PER_BODY):
            layers_used = [body, *_pick(layers, random)]
            image = stack(layers_used[:4] if index % 3 == 0 else layers_used)
            corpus.add(image, names, tags, CATS)
