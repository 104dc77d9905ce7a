"""How clearly the eyes of a concept's photos are seen in tiles, for the two sample concepts.

    python benchmarks/eyes.py sylvie mosaics/demo runs/other_mosaic

Starter-CLIP rates a face without eyes as highly as one with them; a person looks at nothing else.
So the strip around the eyes is cut from every photo where they are open, and looked for all over a
tile: the score is the best normalised cross-correlation of any strip, of luminance above the band
that tiles take from the reference (Lewis 1995, "Fast Normalized Cross-Correlation"). Landmarks are
the photos themselves, each without its own strip and its expression's, and noise.
"""

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

from smalti.configs.files import write_json
from smalti.evaluate.likeness import NOISE_IMAGES
from smalti.evaluate.pictures import read_images, tile_files
from smalti.models.band import mean_shift
from smalti.train.concept import load_concept
from smalti.train.lighting import CELLS

ROOT = Path(__file__).parents[1]
SIDE = 128  # px: photos are scaled to it, as tiles of the starter are
FRONT, ASIDE = (0.26, 0.43, 0.78, 0.62), (0.26, 0.33, 0.72, 0.50)  # Sylvie, as she holds her head
# Left, top, right and bottom of the eyes as shares of the photo's side; None where they are closed.
STRIPS: dict[str, tuple[tuple[float, float, float, float] | None, ...]] = {
    "sylvie": (None, FRONT, FRONT, FRONT, None, ASIDE, ASIDE, ASIDE,
               None, FRONT, FRONT, FRONT, None, ASIDE, ASIDE),
    "eileen": ((0.24, 0.64, 0.78, 0.81), (0.28, 0.51, 0.75, 0.69), (0.32, 0.47, 0.76, 0.63),
               (0.15, 0.42, 0.58, 0.57), (0.22, 0.62, 0.78, 0.82), (0.28, 0.51, 0.73, 0.68),
               (0.27, 0.46, 0.69, 0.61), (0.28, 0.41, 0.70, 0.57), (0.22, 0.64, 0.76, 0.83),
               (0.27, 0.52, 0.75, 0.69), (0.28, 0.46, 0.69, 0.61), (0.31, 0.44, 0.72, 0.59),
               (0.24, 0.65, 0.78, 0.83), (0.27, 0.53, 0.73, 0.71), (0.32, 0.44, 0.73, 0.58)),
}  # fmt: skip


def details(picture: Tensor) -> np.ndarray:
    """Luminance [SIDE, SIDE] of a square picture [3, H, W] in [0, 1], above its cells' means."""
    sized = torch.nn.functional.interpolate(
        picture[None], (SIDE, SIDE), mode="bicubic", antialias=True
    )
    gray = torch.full((1, 3, CELLS, CELLS), 0.5)
    return (sized + mean_shift(sized, gray) - 0.5)[0].mean(0).numpy()


def strips(photos: Sequence[np.ndarray], boxes: Sequence[tuple | None]) -> list[np.ndarray | None]:
    """The part of every photo's details that holds the eyes; None where they are closed."""
    return [box and _cut(photo, box) for photo, box in zip(photos, boxes, strict=True)]


def _cut(photo: np.ndarray, box: tuple[float, ...]) -> np.ndarray:
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


def main(
    concept: Annotated[str, typer.Argument(help="sylvie or eileen")],
    mosaics: Annotated[list[Path], typer.Argument(help="Folders of finished mosaics")],
    json_file: Annotated[Path | None, typer.Option("--json", help="File for all values")] = None,
) -> None:
    """Print how clearly eyes are seen in the tiles of each mosaic."""
    if concept not in STRIPS:
        raise typer.BadParameter(f"no eyes are known of {concept}, only of {', '.join(STRIPS)}")
    drawn = {folder: read_images(tile_files(folder)) for folder in mosaics}
    if empty := [folder for folder, tiles in drawn.items() if not tiles]:
        raise typer.BadParameter(f"{empty[0]} holds no mosaic")
    items = load_concept(ROOT / "concepts" / concept).images
    photos = [details(photo) for photo in read_images(item.path for item in items)]
    eyes = strips(photos, STRIPS[concept])
    opened = [strip for strip in eyes if strip is not None]
    noise = torch.rand(NOISE_IMAGES, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(0))
    rows = {
        "photos": list(of_photos(photos, eyes)),
        "noise": [clarity(details(n), opened) for n in noise],
    }
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
