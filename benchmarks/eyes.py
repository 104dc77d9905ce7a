"""How clearly the eyes of a concept's photos, or any landmark of theirs, are seen in tiles.

    python benchmarks/eyes.py pim mosaics/demo runs/other_mosaic
    python benchmarks/eyes.py concepts/mug mosaics/mug --landmarks handles.toml

Starter-CLIP rates a face without eyes as highly as one with them; a person looks at nothing else.
So the strip around the eyes is cut from every photo where they are open, and looked for all over a
tile: the score is the best normalised cross-correlation of any strip, of luminance above the band
that tiles take from the reference (Lewis 1995, "Fast Normalized Cross-Correlation"). Beside it
stand the photos themselves, each without its own strip and its expression's, and noise.
"""

import tomllib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated

import numpy as np
import torch
import typer
from rich.console import Console
from rich.table import Table
from skimage.feature import match_template
from torch import Tensor

from smalti.cli.boundary import guarded
from smalti.configs.errors import InputError
from smalti.configs.files import write_json
from smalti.evaluate.likeness import NOISE_IMAGES
from smalti.evaluate.pictures import read_images, tile_files
from smalti.models.band import mean_shift
from smalti.models.concepts import find_concept
from smalti.train.concept import load_concept
from smalti.train.lighting import CELLS

LANDMARKS = Path(__file__).with_name("landmarks.toml")
SIDE = 128  # px: photos are scaled to it, as tiles of the starter are

Box = tuple[float, float, float, float]
"""Left, top, right and bottom as shares of a photo's side."""


def read_boxes(file: Path, concept: str, photos: int) -> list[Box | None]:
    """The landmark's box in each of a concept's photos, None where it is not seen.

    Raises InputError when the file has none for the concept, or not one for each photo.
    """
    tables = all_boxes(file)
    if concept not in tables:
        raise InputError(f"{file.name} has boxes of {', '.join(tables)}, none of {concept}.")
    boxes = [tuple(box) or None for box in tables[concept]]
    if len(boxes) != photos:
        raise InputError(f"{file.name} has {len(boxes)} boxes for {photos} photos of {concept}.")
    return boxes


def all_boxes(file: Path = LANDMARKS) -> dict[str, list]:
    """The boxes of every concept that a file knows."""
    return tomllib.loads(file.read_text(encoding="utf-8"))


def details(picture: Tensor) -> np.ndarray:
    """Luminance [SIDE, SIDE] of a square picture [3, H, W] in [0, 1], above its cells' means."""
    sized = torch.nn.functional.interpolate(
        picture[None], (SIDE, SIDE), mode="bicubic", antialias=True
    )
    gray = torch.full((1, 3, CELLS, CELLS), 0.5)
    return (sized + mean_shift(sized, gray) - 0.5)[0].mean(0).numpy()


def strips(photos: Sequence[np.ndarray], boxes: Sequence[Box | None]) -> list[np.ndarray | None]:
    """The part of every photo's details that holds the landmark; None where it is not seen."""
    return [box and _cut(photo, box) for photo, box in zip(photos, boxes, strict=True)]


def _cut(photo: np.ndarray, box: Box) -> np.ndarray:
    left, top, right, bottom = (round(side * SIDE) for side in box)
    return photo[top:bottom, left:right]


def clarity(picture: np.ndarray, eyes: Sequence[np.ndarray]) -> float:
    """The best correlation, at most 1, of any strip with any place of a picture's details."""
    return max(float(match_template(picture, strip).max()) for strip in eyes)


def of_photos(photos: Sequence[np.ndarray], eyes: Sequence[np.ndarray | None]) -> Iterator[float]:
    """Clarity of each photo's open eyes by the strips of photos that show others."""
    pairs = zip(photos, eyes, strict=True)
    opened = [(photo, strip) for photo, strip in pairs if strip is not None]
    for photo, own in opened:
        others = [strip for _, strip in opened if not _same(strip, own)]
        if others:
            yield clarity(photo, others)


def _same(strip: np.ndarray, other: np.ndarray) -> bool:
    """Whether two strips show one drawing, as sample photos share theirs."""
    if strip.shape != other.shape:
        return False
    return float(match_template(strip, other).max()) > 0.95


def of_noise(eyes: Sequence[np.ndarray]) -> list[float]:
    """Clarity of the eyes in pictures of noise: what a score is worth nothing below."""
    noise = torch.rand(NOISE_IMAGES, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(0))
    return [clarity(details(picture), eyes) for picture in noise]


def read_photos(folder: Path, landmarks: Path = LANDMARKS) -> tuple[list[np.ndarray], list]:
    """Details of a concept's photos, and the strips cut from them; InputError as `read_boxes`."""
    concept = load_concept(folder)
    boxes = read_boxes(landmarks, concept.name, len(concept.images))
    photos = [details(photo) for photo in read_images(item.path for item in concept.images)]
    return photos, strips(photos, boxes)


@guarded("Look at fewer mosaics at once.")
def main(
    concept: Annotated[str, typer.Argument(help="Name or folder of a concept.")],
    mosaics: Annotated[list[Path], typer.Argument(help="Folders of finished mosaics.")],
    landmarks: Annotated[
        Path, typer.Option(help="TOML file of the landmark's boxes.", dir_okay=False, exists=True)
    ] = LANDMARKS,
    json_file: Annotated[Path | None, typer.Option("--json", help="File for all values.")] = None,
) -> None:
    """Print how clearly eyes are seen in the tiles of each mosaic."""
    drawn = {folder: read_images(tile_files(folder)) for folder in mosaics}
    if empty := [folder for folder, tiles in drawn.items() if not tiles]:
        raise InputError(f"{empty[0]} holds no mosaic.")
    photos, eyes = read_photos(find_concept(concept, Path("concepts")), landmarks)
    opened = [strip for strip in eyes if strip is not None]
    rows = {"photos": list(of_photos(photos, eyes)), "noise": of_noise(opened)}
    for folder, tiles in drawn.items():
        rows[str(folder)] = [clarity(details(tile), opened) for tile in tiles]
    if json_file:
        write_json(json_file, rows)
    Console().print(table(rows))


def table(rows: Mapping[str, Sequence[float]]) -> Table:
    """Mean, its standard error and the worst tenth of every row's values."""
    found = Table("tiles of", "eyes, mean", "standard error", "worst tenth below")
    for name, values in rows.items():
        error = np.std(values) / len(values) ** 0.5
        tenth = np.quantile(values, 0.1)
        found.add_row(name, f"{np.mean(values):.3f}", f"{error:.3f}", f"{tenth:.3f}")
    return found


if __name__ == "__main__":
    typer.run(main)
