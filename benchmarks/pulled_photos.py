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
from torch import Tensor

from smalti.cli.boundary import guarded
from smalti.cli.console import print_table
from smalti.cli.options import ConceptsDir
from smalti.configs.loading import resolve
from smalti.evaluate.judge import Judge
from smalti.evaluate.likeness import fidelity_and_likeness, likeness, photo_features
from smalti.evaluate.pictures import read_images
from smalti.generate.blocks import split_blocks
from smalti.generate.grid import Grid, make_grid
from smalti.generate.retile import recorded_tables
from smalti.generate.tint import tint
from smalti.models.adapter_file import read_metadata
from smalti.models.band import along_both, area_matrix
from smalti.models.concepts import find_adapter, find_concept
from smalti.models.metrics import psnr, ssim
from smalti.train.concept import load_concept
from smalti.train.crops import is_whole, make_crop
from smalti.train.dataset import image_and_mask

STRENGTHS = (0.0, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)
HEADER = ("tiles", "strength", "PSNR@64, dB", "SSIM@64", "likeness", "kept")

app = typer.Typer(pretty_exceptions_enable=False, add_completion=False)


@app.command()
@guarded("Close other programs.")
def main(
    mosaic: Annotated[Path, typer.Argument(help="Folder of a finished mosaic.")],
    concept: Annotated[str, typer.Argument(help="Concept of its tiles.")],
    *,
    unguided: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="The same mosaic without guidance.")
    ] = None,
    concepts_dir: ConceptsDir = "concepts",
) -> None:
    """Print fidelity and likeness of pulled photos, and of the mosaic."""
    settings = resolve(recorded=recorded_tables(mosaic))
    grid, cells = make_grid(settings), settings.mosaic.picture.low_pass_cells
    judge, folder = Judge(), find_concept(concept, Path(concepts_dir))
    class_word = read_metadata(find_adapter(concept, Path(concepts_dir)))["class_word"]
    photos = photo_features(judge, [item.path for item in load_concept(folder).images])
    (reference,) = read_images([mosaic / "reference.png"])
    blocks = split_blocks(reference, grid)
    crops = photo_crops(folder, class_word, len(blocks), grid.tile)
    rows, untouched = [], float(likeness(judge, crops, photos).mean())
    for strength in STRENGTHS:
        tiles = pulled(crops, blocks, cells, strength)
        there, alike = joined(tiles, grid), float(likeness(judge, tiles, photos).mean())
        fidelity = psnr(there, reference), ssim(there, reference)
        rows.append(_row("photos", f"{strength}", *fidelity, alike, alike / untouched))
    own = fidelity_and_likeness(mosaic, judge, photos)
    free = fidelity_and_likeness(unguided, judge, photos)["likeness"] if unguided else None
    rows.append(_row("mosaic", "", **own, kept=own["likeness"] / free if free else None))
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
    layers = [image_and_mask(item) for item in load_concept(folder, class_word).images]
    indices = [i for i in range(2 * count) if not is_whole(i)][:count]
    return torch.stack([
        make_crop(*layers[i % len(layers)], class_word, side, i, False, (0,)).image
        for i in indices
    ])  # fmt: skip


def pulled(tiles: Tensor, blocks: Tensor, cells: int, strength: float) -> Tensor:
    """Tiles [K, 3, H, H] whose cells' means moved by `strength` of the way to those of blocks."""
    own, wanted = (along_both(area_matrix(x.shape[-1], cells), x) for x in (tiles, blocks))
    return tint(tiles, torch.lerp(own, wanted, strength), cells=cells, amplitude=1.0)


def joined(tiles: Tensor, grid: Grid) -> Tensor:
    """Tiles [K, 3, H, H] row by row as one picture: the inverse of `split_blocks`."""
    return rearrange(tiles, "(r k) c h w -> c (r h) (k w)", r=grid.rows)


if __name__ == "__main__":
    app()
