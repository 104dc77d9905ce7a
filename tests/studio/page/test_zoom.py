"""The pieces of a zoom, put together, are the mosaic at that magnification."""

import io

import numpy as np
import pytest
from made_mosaics import canvas_of, made_mosaic
from PIL import Image

from smalti.generate.grid import Grid
from smalti.studio.page.zoom import Zoom, levels


@pytest.mark.parametrize(("rows", "cols"), [(3, 5), (4, 4), (1, 1), (2, 9)])
def test_pieces_are_the_mosaic_in_small(tmp_path, rows, cols):
    folder = made_mosaic(tmp_path / "m", rows, cols, 32)
    grid, zoom, canvas = Grid(rows, cols, 32, 8), Zoom(), canvas_of(folder, rows, cols)
    for level in range(levels(grid)):
        span = 2 ** (levels(grid) - 1 - level)
        for row, col in [(r, c) for r in range(-(-rows // span)) for c in range(-(-cols // span))]:
            data = zoom.piece(folder, grid, level, col, row)
            piece = np.asarray(Image.open(io.BytesIO(data)).convert("L")).astype(float)
            side = span * 32
            part = canvas[row * side : (row + 1) * side, col * side : (col + 1) * side]
            size = (-(-part.shape[1] // span), -(-part.shape[0] // span))
            small = Image.fromarray(part).resize(size, Image.Resampling.BOX)
            wanted = np.asarray(small.convert("L"))
            assert piece.shape == wanted.shape
            assert np.abs(piece - wanted).mean() < 6


def test_a_tile_that_changes_is_seen_and_one_that_is_missing_shows_the_reference(tmp_path):
    folder, grid, zoom = made_mosaic(tmp_path / "m", 2, 2, 32), Grid(2, 2, 32, 8), Zoom()
    first = zoom.preview(folder, grid)
    assert zoom.preview(folder, grid) == first
    (folder / "tiles" / "r00_c00.png").unlink()
    Image.new("RGB", (16, 16), "blue").save(folder / "reference.png")
    corner = Image.open(io.BytesIO(zoom.preview(folder, grid))).getpixel((3, 3))
    assert corner[2] > corner[0] + 50 and corner[0] > 100  # blue, paler
