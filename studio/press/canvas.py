"""The pixels of a page, strip by strip: tiles are read row by row and scaled one by one.

Tiles never smear into each other, as each is enlarged by itself, and memory holds one row of them.
"""

import itertools
import os
from collections.abc import Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache

import numpy as np
from PIL import Image

from ...configs.progress import Report, silent
from .finished import Finished
from .geometry import PAPER, Axis, Page

STRIP = 256  # rows that are made at once
THREADS = min(8, os.cpu_count() or 1)
WHITE = 255


def strips(
    mosaic: Finished, page: Page, report: Report = silent
) -> Generator[np.ndarray, None, None]:
    """8-bit pixels [h, width, 3] of a page in sRGB, from its top to its bottom.

    Close what is not read to its end: it holds threads.
    """
    done, total = 0, page.rows.size
    with ThreadPoolExecutor(THREADS) as pool:
        band = _Band(mosaic, page, pool)
        for row, part, start, stop in _runs(page.rows):
            if row == PAPER:
                pixels = band.paper(stop - start)
            else:
                pixels = band.pixels(row, part, page.rows.places[start:stop])
            _apply_ink(pixels, start, page)
            yield pixels
            done += stop - start
            report(done, total, "writing")


def whole(mosaic: Finished, page: Page) -> np.ndarray:
    """All pixels of a small page at once, [height, width, 3]."""
    return np.concatenate(list(strips(mosaic, page)))


def _runs(axis: Axis) -> Iterator[tuple[int, int, int, int]]:
    """Stretches of page rows in one part of one row of tiles: tile row, part, first, last + 1.

    A row of tiles has parts of STRIP px, counted from its top, so that every page and panel scales
    the same parts, to the same bytes.
    """
    tiles = axis.tiles
    parts = (axis.places - axis.edges[tiles]) // STRIP
    parts[tiles == PAPER] = np.arange(axis.size)[tiles == PAPER] // STRIP
    changes = (np.diff(tiles) != 0) | (np.diff(parts) != 0)
    breaks = [0, *(np.flatnonzero(changes) + 1), axis.size]
    for first, last in itertools.pairwise(breaks):
        yield int(tiles[first]), int(parts[first]), int(first), int(last)


class _Band:
    """One row of tiles after the other, scaled to what a page shows of it."""

    def __init__(self, mosaic: Finished, page: Page, pool: ThreadPoolExecutor):
        self.mosaic, self.page, self.pool = mosaic, page, pool
        shown = page.cols.tiles[page.cols.places != PAPER]
        self.columns = range(int(shown.min()), int(shown.max()) + 1)
        self.first = int(page.cols.edges[self.columns[0]])
        self.width = int(page.cols.edges[self.columns[-1] + 1]) - self.first
        self.on_paper = page.cols.places == PAPER
        self.at = np.where(self.on_paper, 0, page.cols.places - self.first)
        self.read = lru_cache(1)(self._read)

    def _read(self, row: int) -> list[Image.Image]:
        return list(self.pool.map(lambda col: self.mosaic.read((row, col)), self.columns))

    def paper(self, height: int) -> np.ndarray:
        """Rows without any picture."""
        return np.full((height, len(self.at), 3), WHITE, np.uint8)

    def pixels(self, row: int, part: int, places: np.ndarray) -> np.ndarray:
        """Rows of the page that show these places, all in one part of one row of tiles."""
        top, bottom = (int(edge) for edge in self.page.rows.edges[row : row + 2])
        share = (part * STRIP, min((part + 1) * STRIP, bottom - top))
        strip = np.empty((share[1] - share[0], self.width, 3), np.uint8)

        def put(tile: Image.Image, col: int) -> None:
            left, right = (int(edge) - self.first for edge in self.page.cols.edges[col : col + 2])
            strip[:, left:right] = scaled(tile, (right - left, bottom - top), share)

        list(self.pool.map(put, self.read(row), self.columns))
        pixels = strip[places - top - share[0]][:, self.at]
        pixels[:, self.on_paper] = WHITE
        return pixels


def scaled(tile: Image.Image, size: tuple[int, int], rows: tuple[int, int]) -> np.ndarray:
    """Some rows of a tile that is scaled to (width, height) by Lanczos: 8-bit [h, width, 3]."""
    if tile.size == size:
        return np.asarray(tile)[slice(*rows)]
    step = tile.height / size[1]
    box = (0, rows[0] * step, tile.width, min(tile.height, rows[1] * step))
    wanted = (size[0], rows[1] - rows[0])
    return np.asarray(tile.resize(wanted, Image.Resampling.LANCZOS, box=box))


def _apply_ink(pixels: np.ndarray, start: int, page: Page) -> None:
    """Print the marks that lie in these rows; `start` is the first of them."""
    for top, left, mark in page.ink:
        first, last = max(top, start), min(top + len(mark), start + len(pixels))
        if first < last:
            place = np.s_[first - start : last - start, left : left + mark.shape[1]]
            pixels[place] = mark[first - top : last - top]
