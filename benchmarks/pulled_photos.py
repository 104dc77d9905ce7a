"""What the reference costs in likeness: a concept's own photos, pulled to it, beside a mosaic.

    python benchmarks/pulled_photos.py mosaics/demo sylvie --unguided mosaics/unguided

64 crops of the photos take the tiles' places, and the means of their cells are moved towards those
of their blocks, the rest of each picture untouched: fidelity bought with the subject's own colours
and nothing else. The last row is the mosaic itself, whose network answers the pull and may keep
more. Its share is that of the same tiles without guidance, drawn before by `mosaic-gen --tile-lora
sylvie --ref-lora eileen --set mosaic.guidance=false --out mosaics/unguided`.
"""

from pathlib import Path
from typing import Annotated

import torch
import typer
from einops import rearrange
from likeness import likeness, photo_features, read_images
from mosaics import class_word_of, measure
from torch import Tensor
from torch.nn.functional import interpolate

from smalti.cli.boundary import guarded
from smalti.cli.console import print_table
from smalti.cli.options import ConceptsDir
from smalti.configs.errors import InputError
from smalti.generate.evaluate.judge import Judge
from smalti.generate.evaluate.metrics import psnr, ssim
from smalti.generate.guidance.band import along_both, area_matrix, spread_matrix
from smalti.models.concepts import find_concept
from smalti.models.pixels import flatten
from smalti.train.concept import load_concept, open_images
from smalti.train.crops import is_whole, make_crop

STRENGTHS = (0.0, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)
CELLS = 8  # a side of a tile, as the preset `fast` guides
HEADER = ("tiles", "strength", "PSNR@64, dB", "SSIM@64", "likeness", "kept")

app = typer.Typer(pretty_exceptions_enable=False, add_completion=False)


@app.command()
@guarded("Close other programs.")
def main(
    mosaic: Annotated[Path, typer.Argument(help="Folder of a square mosaic.")],
    concept: Annotated[str, typer.Argument(help="Concept of its tiles.")],
    *,
    unguided: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="The same mosaic without guidance.")
    ] = None,
    concepts_dir: ConceptsDir = "concepts",
) -> None:
    """Print fidelity and likeness of pulled photos, and of the mosaic."""
    if not (mosaic / "mosaic.png").is_file():
        raise InputError(f"No mosaic.png in {mosaic}. Make one: make demo, or mosaic-gen.")
    judge, folder = Judge(), find_concept(concept, Path(concepts_dir))
    photos = photo_features(judge, folder)
    whole, reference = read_images([mosaic / "mosaic.png", mosaic / "reference.png"])
    enlarged = interpolate(reference[None], size=whole.shape[1:], mode="bicubic")[0].clamp(0, 1)
    blocks = cut(enlarged, len(list((mosaic / "tiles").glob("*.png"))))
    word = class_word_of(concept, Path(concepts_dir))
    crops = photo_crops(folder, word, len(blocks), blocks.shape[-1])
    rows, untouched = [], None
    for strength in STRENGTHS:
        tiles = pulled(crops, blocks, strength)
        alike = float(likeness(judge, tiles, photos).mean())
        untouched = untouched or alike
        there = joined(tiles)
        rows.append(_row("photos", f"{strength}", psnr(there, reference), ssim(there, reference),
                         alike, alike / untouched))  # fmt: skip
    own = measure(mosaic, judge, photos)
    free = measure(unguided, judge, photos)["likeness"] if unguided else None
    share = own["likeness"] / free if free else None
    rows.append(_row("mosaic", "", **own, kept=share))
    print_table("Photos pulled to the reference, and the mosaic", HEADER, rows)


def _row(
    tiles: str, strength: str, psnr: float, ssim: float, likeness: float, kept: float | None
) -> list[str]:
    """One row of the table."""
    share = "" if kept is None else f"{100 * kept:.1f} %"
    return [tiles, strength, f"{psnr:.2f}", f"{ssim:.3f}", f"{likeness:.3f}", share]


def photo_crops(folder: Path, class_word: str, count: int, side: int) -> Tensor:
    """`count` square windows [count, 3, side, side] of a concept's photos, as training cuts them.

    Whole views on a canvas are left out: they show the subject smaller than a tile does.
    """
    concept = load_concept(folder, class_word)
    pictures = [flatten(row["image"])[0] for row in open_images(concept)]
    masks = [row["mask"] for row in open_images(concept)]
    indices = [i for i in range(2 * count) if not is_whole(i)][:count]
    return torch.stack([
        make_crop(pictures[i % len(pictures)], masks[i % len(pictures)], concept.class_word, side,
                  i, False, (0,)).image
        for i in indices
    ])  # fmt: skip


def pulled(tiles: Tensor, blocks: Tensor, strength: float) -> Tensor:
    """Tiles [K, 3, H, H] whose cells' means moved by `strength` of the way to those of blocks."""
    low = area_matrix(tiles.shape[-1], CELLS)
    missing = strength * (along_both(low, blocks) - along_both(low, tiles))
    return (tiles + along_both(spread_matrix(CELLS, tiles.shape[-1]), missing)).clamp(0, 1)


def cut(picture: Tensor, count: int) -> Tensor:
    """A square picture [3, S, S] as `count` blocks [count, 3, s, s], row by row."""
    rows = round(count**0.5)
    return rearrange(picture, "c (r h) (k w) -> (r k) c h w", r=rows, k=rows)


def joined(tiles: Tensor) -> Tensor:
    """The inverse of `cut`."""
    return rearrange(tiles, "(r k) c h w -> c (r h) (k w)", r=round(len(tiles) ** 0.5))


if __name__ == "__main__":
    app()
