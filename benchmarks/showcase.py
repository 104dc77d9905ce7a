"""Pictures for README and docs: a mosaic, a crop of it at full size, its reference, its thumbnail.

    python benchmarks/showcase.py mosaics/demo docs/demo.jpg

It measures nothing; the mosaic must be there already, of as many rows as columns.
"""

import math
from pathlib import Path
from typing import Annotated

import typer
from PIL import Image

from smalti.configs.files import replacing
from smalti.evaluate.pictures import tile_files

HEIGHT = 640
GAP = 16
CROP_TILES = 3
THUMBNAIL = 96


def showcase(folder: Path) -> Image.Image:
    """Mosaic of as many rows as columns, 3 x 3 of its tiles enlarged, reference and thumbnail."""
    grid = math.isqrt(len(tile_files(folder)))
    mosaic = Image.open(folder / "mosaic.png").convert("RGB")
    reference = Image.open(folder / "reference.png").convert("RGB")
    tile = mosaic.width // grid
    corner = (grid - CROP_TILES) // 2 * tile
    crop = mosaic.crop((corner, corner, corner + CROP_TILES * tile, corner + CROP_TILES * tile))
    side = (HEIGHT - 2 * GAP - THUMBNAIL) // 2
    sheet = Image.new("RGB", (2 * HEIGHT + side + 2 * GAP, HEIGHT), "white")
    for picture, left in ((mosaic, 0), (crop, HEIGHT + GAP)):
        sheet.paste(picture.resize((HEIGHT, HEIGHT), Image.Resampling.LANCZOS), (left, 0))
    column = 2 * (HEIGHT + GAP)
    sheet.paste(reference.resize((side, side), Image.Resampling.LANCZOS), (column, 0))
    blurred = mosaic.resize((64, 64), Image.Resampling.BOX)
    sheet.paste(blurred.resize((side, side), Image.Resampling.BICUBIC), (column, side + GAP))
    small = mosaic.resize((THUMBNAIL, THUMBNAIL), Image.Resampling.LANCZOS)
    sheet.paste(small, (column, HEIGHT - THUMBNAIL))
    return sheet


def main(
    folder: Annotated[Path, typer.Argument(help="Folder of a finished mosaic")],
    out: Annotated[Path, typer.Argument(help="Picture to write, .jpg")],
) -> None:
    """Write the showcase picture of one mosaic."""
    picture = showcase(folder)
    with replacing(out) as temporary:
        picture.save(temporary, format="JPEG", quality=88)


if __name__ == "__main__":
    typer.run(main)
