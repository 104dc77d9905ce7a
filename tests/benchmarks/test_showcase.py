"""The README's pictures: mosaic, nine tiles enlarged, reference and thumbnail in their places."""

from pathlib import Path

from PIL import Image
from showcase import CROP_TILES, GAP, HEIGHT, showcase

GRID, TILE = 5, 8


def color(row: int, col: int) -> tuple[int, int, int]:
    return 40 * row, 40 * col, 128


def test_the_middle_of_the_mosaic_is_enlarged(tmp_path: Path):
    (tmp_path / "tiles").mkdir()
    mosaic = Image.new("RGB", (GRID * TILE, GRID * TILE))
    for row in range(GRID):
        for col in range(GRID):
            tile = Image.new("RGB", (TILE, TILE), color(row, col))
            tile.save(tmp_path / "tiles" / f"r{row:02}_c{col:02}.png")
            mosaic.paste(tile, (col * TILE, row * TILE))
    mosaic.save(tmp_path / "mosaic.png")
    Image.new("RGB", (16, 16), (250, 250, 0)).save(tmp_path / "reference.png")
    sheet = showcase(tmp_path)

    def middle(left: int, side: int, parts: int, row: int, col: int) -> tuple[int, ...]:
        """Colour of the middle of one of parts x parts fields of a picture."""
        step = side / parts
        return sheet.getpixel((left + int((col + 0.5) * step), int((row + 0.5) * step)))

    for row in range(CROP_TILES):
        for col in range(CROP_TILES):
            assert middle(0, HEIGHT, GRID, row, col) == color(row, col)
            assert middle(HEIGHT + GAP, HEIGHT, CROP_TILES, row, col) == color(row + 1, col + 1)
    assert sheet.getpixel((2 * (HEIGHT + GAP) + 5, 5)) == (250, 250, 0)
