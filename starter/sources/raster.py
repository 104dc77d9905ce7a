"""Rendering and fitting: every picture becomes 128 x 128 RGBA, straight alpha."""

import io

import numpy as np
from PIL import Image

from ...configs.errors import InputError

SIZE = 128
"""Side of a corpus picture in pixels."""

VISIBLE = 8
"""Alpha (0-255) above which a pixel belongs to the drawing when it is trimmed."""


def render_svg(svg: str, width: int = SIZE) -> Image.Image:
    """Draw an SVG document `width` pixels wide, RGBA.

    System fonts stay out, so that the result is the same on every machine.

    Raises:
        InputError: resvg-py is not installed.
        ValueError: the document cannot be drawn.
    """
    try:
        import resvg_py
    except ImportError as error:
        raise InputError('resvg-py is missing: pip install "smalti[corpus]".') from error
    png = resvg_py.svg_to_bytes(svg_string=svg, width=width, dpi=96, skip_system_fonts=True)
    return Image.open(io.BytesIO(bytes(png))).convert("RGBA")


def resize(image: Image.Image, size: tuple[int, int]) -> Image.Image:
    """Lanczos resize of an RGBA picture to (width, height) in premultiplied colour.

    Straight alpha would let the invisible pixels' colour bleed into the edges.
    """
    pixels = np.asarray(image, np.float32) / 255
    pixels = np.concatenate([pixels[..., :3] * pixels[..., 3:], pixels[..., 3:]], axis=-1)
    planes = [Image.fromarray(np.ascontiguousarray(pixels[..., i])) for i in range(4)]
    pixels = np.stack([plane.resize(size, Image.Resampling.LANCZOS) for plane in planes], axis=-1)
    alpha = np.clip(pixels[..., 3:], 0, 1)
    color = np.where(alpha > 1e-4, pixels[..., :3] / np.maximum(alpha, 1e-4), 0)
    pixels = np.concatenate([np.clip(color, 0, 1), alpha], axis=-1)
    return Image.fromarray((pixels * 255 + 0.5).astype(np.uint8))


def trim(image: Image.Image) -> Image.Image | None:
    """Crop to the visible part; None when nothing is visible."""
    alpha = np.asarray(image)[..., 3]
    if alpha.max() < VISIBLE:
        return None
    rows = np.flatnonzero((alpha > VISIBLE).any(axis=1))
    columns = np.flatnonzero((alpha > VISIBLE).any(axis=0))
    if len(rows) == 0:
        return None
    return image.crop((columns[0], rows[0], columns[-1] + 1, rows[-1] + 1))


def is_opaque(image: Image.Image) -> bool:
    """Whether (nearly) every pixel is opaque: a full picture rather than a cut-out."""
    return bool((np.asarray(image)[..., 3] > 250).mean() > 0.985)


def fit(image: Image.Image, margin: int = 4, trimmed: bool = True) -> Image.Image | None:
    """Scale a picture into the square, centred, `margin` pixels off the border.

    Opaque pictures fill the square: they are cropped to it unless they are longer than 1.8 : 1.
    None when nothing is visible.
    """
    if trimmed:
        image = trim(image)
    if image is None or np.asarray(image)[..., 3].max() < VISIBLE:
        return None
    if is_opaque(image):
        if max(image.size) <= 1.8 * min(image.size):
            return square(image, 0.5)
        margin = 0
    scale = (SIZE - 2 * margin) / max(image.size)
    width, height = (max(1, round(side * scale)) for side in image.size)
    canvas = Image.new("RGBA", (SIZE, SIZE))
    canvas.paste(resize(image, (width, height)), ((SIZE - width) // 2, (SIZE - height) // 2))
    return canvas


def square(image: Image.Image, position: float) -> Image.Image:
    """The largest square at a position along the longer side (0 start, 1 end), at corpus size."""
    side, rest = min(image.size), max(image.size) - min(image.size)
    offset = int(rest * position)
    x, y = (offset, 0) if image.width > image.height else (0, offset)
    return resize(image.crop((x, y, x + side, y + side)), (SIZE, SIZE))


def squares(image: Image.Image, longest: float) -> list[Image.Image]:
    """Squares at both ends and the middle when the sides' ratio is over `longest`, else one."""
    positions = (0, 0.5, 1) if max(image.size) > longest * min(image.size) else (0.5,)
    return [square(image, position) for position in positions]
