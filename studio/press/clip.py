"""`mosaic clip`: the film from one tile out to the whole, as MP4 and GIF.

The view's width grows exponentially with an eased time, so that the zoom looks even. Each frame is
resampled from two levels of a pyramid, blended by how near each is to the frame's own scale
(trilinear filtering, Williams 1983): nothing flickers and no level pops in. A level holds only what
the view can show while it is in use, so that memory does not grow with the mosaic.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image

from ...configs.files import replacing, sweep
from ...configs.progress import Report, reporting
from ...generate.grid import Grid, Tile
from ..extra import require
from .finished import Finished
from .proof import best_tile
from .provenance import Signer, add_gif_xmp, add_mp4_xmp

SECONDS, FPS = 8, 30
HOLD_TILE, HOLD_WHOLE = 0.8, 1.6  # seconds
SIDE = 1080  # px, the longer one
GIF_SIDE, GIF_EVERY = 400, 3  # px; every third frame, 10 a second
CODECS = ("libx264", "libvpx-vp9")
QUALITY = {"libx264": {"crf": "18", "preset": "medium"}, "libvpx-vp9": {"crf": "24", "b": "0"}}
BT709 = 1  # primaries, transfer and matrix of HD video; also "limited" as a range

Rect = tuple[float, float, float, float]
"""Left, top, right and bottom, in tiles."""


def eased(share: float) -> float:
    """Smootherstep (Perlin 2002): no speed and no acceleration at either end."""
    return share**3 * (share * (6 * share - 15) + 10)


def progress_at(second: float) -> float:
    """How far the zoom is, 0 (one tile) to 1 (the whole)."""
    moving = SECONDS - HOLD_TILE - HOLD_WHOLE
    return eased(min(1.0, max(0.0, (second - HOLD_TILE) / moving)))


def first_view(grid: Grid, tile: Tile) -> Rect:
    """The smallest view of the mosaic's own proportions that shows a whole tile."""
    short = min(grid.rows, grid.cols)
    wide, high = grid.cols / short, grid.rows / short
    left = min(max(0.0, tile[1] + 0.5 - wide / 2), grid.cols - wide)
    top = min(max(0.0, tile[0] + 0.5 - high / 2), grid.rows - high)
    return left, top, left + wide, top + high


def view_of(width: float, grid: Grid, first: Rect) -> Rect:
    """The view of a width in tiles, from the first one to the whole; each lies in wider ones."""
    whole = (0.0, 0.0, float(grid.cols), float(grid.rows))
    least = first[2] - first[0]
    share = (width - least) / (grid.cols - least) if grid.cols > least else 1.0
    share = min(1.0, max(0.0, share))
    return tuple(a + share * (b - a) for a, b in zip(first, whole, strict=True))  # type: ignore[return-value]


@dataclass(frozen=True)
class Level:
    """A part of the mosaic, each tile `side` px wide."""

    image: Image.Image
    side: int
    corner: tuple[int, int]
    """Column and row of its first tile."""

    def frame(self, view: Rect, size: tuple[int, int]) -> Image.Image:
        """What a view shows, at a size in px."""
        ends = (float(self.image.width), float(self.image.height)) * 2
        places = ((edge - self.corner[i % 2]) * self.side for i, edge in enumerate(view))
        box = [min(end, max(0.0, place)) for place, end in zip(places, ends, strict=True)]
        return self.image.resize(size, Image.Resampling.LANCZOS, box=tuple(box))


class Camera:
    """Takes the frames of a mosaic's film."""

    def __init__(self, mosaic: Finished, tile: Tile | None = None, side: int = SIDE):
        grid = mosaic.grid
        self.mosaic, self.grid = mosaic, grid
        scale = side / max(grid.rows, grid.cols)
        self.size = (2 * round(grid.cols * scale / 2), 2 * round(grid.rows * scale / 2))
        self.first = first_view(grid, tile or best_tile(mosaic))
        deepest = max(0, math.ceil(self._level_at(grid.cols)))
        self.levels = [self._level(number) for number in range(deepest + 1)]

    def _level_at(self, width: float) -> float:
        """Which level has one px per px of a frame that shows `width` tiles."""
        return math.log2(self.grid.tile * width / self.size[0])

    def _level(self, number: int) -> Level:
        """Level `number`, halved so often, as far as views reach that use it."""
        widest = self.size[0] * 2 ** (number + 1) / self.grid.tile
        least = self.first[2] - self.first[0]
        view = view_of(min(self.grid.cols, max(widest, least)), self.grid, self.first)
        left, top = int(view[0]), int(view[1])
        right = min(self.grid.cols, math.ceil(view[2] - 1e-9))
        bottom = min(self.grid.rows, math.ceil(view[3] - 1e-9))
        side = max(1, round(self.grid.tile / 2**number))
        image = Image.new("RGB", ((right - left) * side, (bottom - top) * side))
        for row in range(top, bottom):
            for col in range(left, right):
                tile = self.mosaic.read((row, col))
                if side != tile.width:
                    tile = tile.resize((side, side), Image.Resampling.BOX)
                image.paste(tile, ((col - left) * side, (row - top) * side))
        return Level(image, side, (left, top))

    def take(self, second: float) -> Image.Image:
        """The frame at a time."""
        least = self.first[2] - self.first[0]
        width = least * (self.grid.cols / least) ** progress_at(second)
        view, depth = view_of(width, self.grid, self.first), self._level_at(width)
        lower = min(max(0, math.floor(depth)), len(self.levels) - 1)
        sharp = self.levels[lower].frame(view, self.size)
        share = min(1.0, max(0.0, depth - lower))
        if not share or lower + 1 == len(self.levels):
            return sharp
        return Image.blend(sharp, self.levels[lower + 1].frame(view, self.size), share)


def frames(camera: Camera, report: Report) -> Iterator[Image.Image]:
    """All frames of the film."""
    total = SECONDS * FPS
    for number in range(total):
        yield camera.take(number / FPS)
        report(number + 1, total, "filming")


def write_clip(
    mosaic: Finished,
    out: Path | None = None,
    *,
    tile: Tile | None = None,
    signer: Signer | None = None,
    progress: Report | None = None,
) -> list[Path]:
    """Write an MP4 and a GIF of the zoom from a tile out to the whole; returns both paths.

    out: the MP4, FOLDER/clip.mp4 without one; the GIF lies beside it. tile: where it begins, the
    middle without one. Raises InputError and SmaltiError as other writers do.
    """
    av = require("av", "A film")
    film = out or mosaic.folder / "clip.mp4"
    loop = film.with_suffix(".gif")
    sweep(film.parent)
    with (
        reporting(progress, "clip") as report,
        replacing(film) as film_part,
        replacing(loop) as loop_part,
    ):
        report(0, SECONDS * FPS, "reading tiles")
        camera = Camera(mosaic, tile)
        kept = _encode(av, frames(camera, report), camera.size, film_part)
        _write_gif(kept, loop_part)
        add_mp4_xmp(film_part, mosaic.xmp)
        add_gif_xmp(loop_part, mosaic.xmp)
        if signer:
            signer.sign(film_part, "mp4", mosaic)
            signer.sign(loop_part, "gif", mosaic)
    return [film, loop]


def codec_name(av: Any) -> str:
    """H.264, or VP9 where its encoder is missing."""
    for name in CODECS:
        try:
            av.Codec(name, "w")
        except av.error.FFmpegError:
            continue
        return name
    return "mpeg4"


def _encode(
    av: Any, pictures: Iterator[Image.Image], size: tuple[int, int], path: Path
) -> list[Image.Image]:
    """Write the film and return those of its frames, made small, that a GIF shows."""
    name, kept = codec_name(av), []
    options = {"movflags": "+faststart"}  # plays before all of it has come
    with av.open(str(path), "w", format="mp4", options=options) as film:
        stream = film.add_stream(name, rate=FPS, options=QUALITY.get(name, {}))
        stream.width, stream.height, stream.pix_fmt = *size, "yuv420p"
        context = stream.codec_context
        context.color_range = context.colorspace = BT709
        context.color_primaries = context.color_trc = BT709
        for number, picture in enumerate(pictures):
            frame = av.VideoFrame.from_image(picture)
            film.mux(stream.encode(frame.reformat(format="yuv420p", dst_colorspace="ITU709")))
            if number % GIF_EVERY == 0:
                picture.thumbnail((GIF_SIDE, GIF_SIDE), Image.Resampling.LANCZOS)
                kept.append(picture)
        film.mux(stream.encode())
    return kept


def _write_gif(pictures: Sequence[Image.Image], path: Path) -> None:
    """A GIF with one palette for all of its frames, so that flat colours stand still."""
    width, height = pictures[0].size
    sample = Image.new("RGB", (width, 4 * height))
    for place in range(4):
        sample.paste(pictures[place * (len(pictures) - 1) // 3], (0, place * height))
    palette = sample.quantize(256)
    packed = [image.quantize(palette=palette, dither=Image.Dither.NONE) for image in pictures]
    packed[0].save(
        path, format="GIF", save_all=True, append_images=packed[1:],
        duration=1000 * GIF_EVERY // FPS, loop=0,
    )  # fmt: skip
