"""Proofs: a picture to send before anything is printed, and a sheet that shows what to expect."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from ...configs.files import read_json, replacing
from ...configs.product import ProductSettings, with_changes
from ...configs.settings import Settings
from ...generate.grid import Tile
from ...generate.store import RECORD
from ..extra import require
from .canvas import whole
from .finished import Finished, tile_facts
from .geometry import plain_page, product_page, window
from .paper import A4, DPI, GREY, Paper, save_jpeg, write_papers
from .sizes import MIN_TILE_MM, MM_PER_INCH, Layout, pixels

SIDE = 2000  # px
PRINT_DPI = 300
MARGIN, GAP = 15, 6  # mm
LARGE, SMALL = 104, 70  # mm, the two columns
WORD_SHARE = 0.8  # of the picture's diagonal
WORD_ALPHA = 110


def shrunk(mosaic: Finished, side: int) -> np.ndarray:
    """The whole mosaic with a longer side of `side` px, or smaller where it has fewer."""
    grid = mosaic.grid
    high, wide = grid.canvas_size
    scale = min(1.0, side / max(high, wide))
    # No tile vanishes, so that the picture may be a little larger than asked.
    size = (max(grid.cols, round(wide * scale)), max(grid.rows, round(high * scale)))
    return whole(mosaic, plain_page(grid, *size))


def write_proof(mosaic: Finished, path: Path, word: str = "") -> Path:
    """Write a JPEG of 2,000 px, with a word across it if one is given."""
    image = Image.fromarray(shrunk(mosaic, SIDE))
    if word:
        image = _stamped(image, word)
    with replacing(path) as temporary:
        save_jpeg(image, temporary, mosaic.xmp, dpi=72)
    return path


def _stamped(image: Image.Image, word: str) -> Image.Image:
    """A word along the diagonal, light with a dark edge, so that it shows on anything."""
    diagonal = (image.width**2 + image.height**2) ** 0.5
    size = 0.25 * min(image.size)
    size *= min(1.0, WORD_SHARE * diagonal / max(1.0, _font(size).getlength(word)))
    layer = Image.new("RGBA", (2 * round(diagonal),) * 2)
    pen = ImageDraw.Draw(layer)
    middle = (layer.width // 2, layer.height // 2)
    pen.text(
        middle, word, (255, 255, 255, WORD_ALPHA), _font(size), anchor="mm",
        stroke_width=max(1, round(size / 40)), stroke_fill=(0, 0, 0, WORD_ALPHA),
    )  # fmt: skip
    turned = layer.rotate(np.degrees(np.arctan2(image.height, image.width)))
    left, top = ((turned.width - image.width) // 2, (turned.height - image.height) // 2)
    turned = turned.crop((left, top, left + image.width, top + image.height))
    return Image.alpha_composite(image.convert("RGBA"), turned).convert("RGB")


def _font(size: float) -> ImageFont.FreeTypeFont:
    return ImageFont.load_default(size)  # type: ignore[return-value]


def usual_print(mosaic: Finished) -> ProductSettings:
    """The print that a mosaic is good for: 300 dpi, tiles of 13 mm at least."""
    grid = mosaic.grid
    side = max(MIN_TILE_MM, grid.tile / PRINT_DPI * MM_PER_INCH)
    return ProductSettings(width=grid.cols * side, height=grid.rows * side, name="proof", bleed=0)


def write_sheet(proofs: Sequence[tuple[Finished, ProductSettings]], path: Path) -> Path:
    """Write a PDF with a page for each mosaic on the product it is to become."""
    require("pikepdf", "A proof sheet")
    papers = [proof_page(mosaic, product) for mosaic, product in proofs]
    title = ", ".join(mosaic.name for mosaic, _ in proofs)
    return write_papers(papers, path, proofs[0][0].xmp, title)


def proof_page(mosaic: Finished, product: ProductSettings) -> Paper:
    """From afar, at arm's length, one tile, the reference, and how all of it was made."""
    layout = Layout(mosaic.grid.rows, mosaic.grid.cols, mosaic.grid.tile, product)
    paper, right = Paper(), MARGIN + LARGE + GAP
    top = paper.text(mosaic.name, MARGIN, MARGIN, points=16) + GAP / 2
    down = [
        _captioned(paper, "From afar", shrunk(mosaic, pixels(LARGE, DPI)), MARGIN, top, LARGE),
        _captioned(paper, "The reference", _reference(mosaic), right, top, SMALL),
    ]
    below = max(down) + GAP
    tile = best_tile(mosaic)
    name = f"One tile: row {tile[0]}, column {tile[1]}"
    down = [
        _captioned(paper, "At arm's length: as large as printed", at_print_scale(mosaic, product),
                   MARGIN, below, LARGE),
        _captioned(paper, name, mosaic.read(tile), right, below, SMALL),
    ]  # fmt: skip
    y = max(down) + GAP
    for line in facts(mosaic, layout, tile):
        y = paper.text(line, MARGIN, y, width=A4[0] - 2 * MARGIN)
    return paper


def _captioned(
    paper: Paper, words: str, picture: Image.Image | np.ndarray, x: float, y: float, box: float
) -> float:
    return paper.place(picture, x, paper.text(words, x, y, points=8, ink=GREY) + 1, box)


def _reference(mosaic: Finished) -> Image.Image:
    with Image.open(mosaic.reference) as image:
        return image.convert("RGB")


def best_tile(mosaic: Finished) -> Tile:
    """The tile in the middle."""
    return mosaic.grid.rows // 2, mosaic.grid.cols // 2


def at_print_scale(mosaic: Finished, product: ProductSettings) -> np.ndarray:
    """The middle of the print as large as it will be on paper of the sheet's resolution."""
    page = product_page(with_changes(product, dpi=DPI, bleed=0), mosaic.grid)
    side = pixels(LARGE, DPI)
    width, height = (min(side, length) for length in page.size)
    top, left = (page.size[1] - height) // 2, (page.size[0] - width) // 2
    found = whole(mosaic, window(page, top, left, height, width))
    blank = np.full((height, side, 3), 255, np.uint8)  # a smaller print is not enlarged
    blank[:, :width] = found
    return blank


def facts(mosaic: Finished, layout: Layout, tile: Tile) -> list[str]:
    """Size, resolution and settings, a line each."""
    settings, product = mosaic.settings, layout.product
    metrics = (read_json(mosaic.folder / RECORD) or {}).get("metrics", {})
    lines = [
        f"Print: {layout.sentence()}.",
        f"File: {product.format}, {product.dpi} dpi, profile {Path(product.profile).name}, "
        f"{product.bleed:g} mm bleed, {product.margin:g} mm safe margin.",
        f'Tile: "{tile_facts(mosaic, tile).get("prompt", "")}", seed '
        f"{tile_facts(mosaic, tile).get('seed', '')}.",
        *_settings_lines(settings),
    ]
    if metrics:
        lines.append(f"Likeness at 64 px: {metrics['psnr_64']} dB, SSIM {metrics['ssim_64']}.")
    return [*lines, *layout.warnings()]


def _settings_lines(settings: Settings) -> list[str]:
    picture, sampler = settings.mosaic.picture, settings.mosaic.sampler
    scale = sampler.scale_of(concept=bool(picture.tile_lora))
    shows = ", ".join(Path(name).name for name in picture.tile_lora) or "no concept"
    return [
        f"Tiles: {shows}; {'; '.join(picture.tile_prompt)}.",
        f"Made with: method {settings.mosaic.method.name}, base {settings.base.name}, "
        f"{sampler.steps} steps of {sampler.scheduler}, guidance scale {scale:g}, seed "
        f"{picture.seed}.",
    ]
