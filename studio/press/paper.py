"""Sheets of paper that people read: pictures and words placed in millimetres, written as PDF."""

import os
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from ...configs.files import remove, replacing
from .lettering import font_for, readable
from .pdf import plain_sheet, write_pdf
from .profiles import SRGB
from .sizes import pixels

A4 = (210, 297)  # mm
DPI = 200
INK, GREY = (34, 34, 34), (120, 120, 120)
QUALITY = 92
POINT_MM = 25.4 / 72


class Paper:
    """One upright A4 page; all lengths are in mm, from its top left corner."""

    def __init__(self) -> None:
        self.image = Image.new("RGB", tuple(pixels(mm, DPI) for mm in A4), "white")  # type: ignore[arg-type]
        self.pen = ImageDraw.Draw(self.image)

    def place(self, picture: Image.Image | np.ndarray, x: float, y: float, box: float) -> float:
        """Fit a picture into a square of `box` mm; returns where it ends below."""
        if isinstance(picture, np.ndarray):
            picture = Image.fromarray(picture)
        scale = pixels(box, DPI) / max(picture.size)
        size = (max(1, round(picture.width * scale)), max(1, round(picture.height * scale)))
        if size != picture.size:
            picture = picture.resize(size, Image.Resampling.LANCZOS)
        self.image.paste(picture, (pixels(x, DPI), pixels(y, DPI)))
        return y + size[1] / DPI * 25.4

    def text(
        self, words: str, x: float, y: float, points: float = 9, width: float = 180, ink=INK
    ) -> float:
        """Write words, broken into lines of `width` mm; returns where they end below.

        Words in a script that no font here has are written in Latin letters.
        """
        words = readable(words)
        font = font_for(words, points / 72 * DPI)
        for line in _broken(words, font, pixels(width, DPI)):
            self.pen.text((pixels(x, DPI), pixels(y, DPI)), line, ink, font)
            y += 1.35 * points * POINT_MM
        return y

    def frame(self, box: Sequence[float], ink=INK, width: int = 2) -> None:
        """An empty rectangle: left, top, right, bottom."""
        self.pen.rectangle([pixels(mm, DPI) for mm in box], outline=ink, width=width)


def _broken(words: str, font: ImageFont.FreeTypeFont, width: int) -> list[str]:
    lines = [""]
    for word in words.split():
        longer = f"{lines[-1]} {word}".strip()
        if font.getlength(longer) <= width or not lines[-1]:
            lines[-1] = longer
        else:
            lines.append(word)
    return lines


def save_jpeg(image: Image.Image, path: Path, xmp: bytes, dpi: int = DPI) -> None:
    """Write a picture of moderate size as a tagged JPEG; `path` is a temporary name."""
    image.save(
        path, format="JPEG", quality=QUALITY, subsampling=0, dpi=(dpi, dpi), xmp=xmp,
        icc_profile=SRGB.read_bytes(),
    )  # fmt: skip


def write_papers(papers: Iterable[Paper], path: Path, xmp: bytes, title: str) -> Path:
    """Write pages as one PDF, whole or not at all; they may be made one at a time."""
    pictures: list[Path] = []
    with replacing(path) as temporary:
        try:
            for paper in papers:
                name = f".page{len(pictures)}-{path.name}.{os.getpid()}.tmp"
                pictures.append(path.with_name(name))
                save_jpeg(paper.image, pictures[-1], xmp)
            sheet = plain_sheet(*(pixels(mm, DPI) for mm in A4), DPI)
            write_pdf(pictures, [sheet] * len(pictures), temporary, xmp, title)
        finally:
            for picture in pictures:
                remove(picture)
    return path
