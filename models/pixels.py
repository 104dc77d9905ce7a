"""Pictures: from Pillow to 8-bit RGB, and between 8-bit pixels and tensors."""

import io
import struct
import zlib
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, ImageCms, PngImagePlugin

from ..configs.files import replacing

if TYPE_CHECKING:  # what only looks at pictures need not wait for torch
    from torch import Tensor

OPAQUE = {"P": "RGB", "PA": "RGB", "RGBA": "RGB", "RGBX": "RGB", "LA": "L"}
"""Modes of Pillow without palette and transparency."""
PLAIN = {"La": "LA", "RGBa": "RGBA"}
"""Modes of which Pillow can do little, and what they mean."""
OVERSHOOT = 2.0
"""Largest value up to which floats count as being of the range 0 to 1."""
PRINT_DPI = 300
"""What labs print at. Programs that are told nothing take 72 or 96, four times the size."""
STAND_IN = b"srGb"
"""A chunk that nobody reads, in whose place the real one is put."""


class Unusable(ValueError):
    """A file cannot serve as a picture; the text goes on after its name: "is animated"."""


def flatten(image: Image.Image) -> tuple[Image.Image, Image.Image | None]:
    """Return the picture in sRGB over white, and its alpha channel if that cuts something out."""
    image = _to_srgb(eight_bit(image))
    if not image.has_transparency_data:
        return image.convert("RGB"), None
    rgba = image.convert("RGBA")
    alpha = rgba.getchannel("A")
    white = Image.new("RGBA", rgba.size, "white")
    telling = alpha.getextrema()[0] < 255 and alpha.getextrema()[1] > 0
    return Image.alpha_composite(white, rgba).convert("RGB"), alpha if telling else None


def eight_bit(image: Image.Image) -> Image.Image:
    """The picture in a mode of 8 bits: whole numbers and floats as grey, in their own range.

    Pillow would clip them. Raises Unusable for values that are no brightness.
    """
    if image.mode in PLAIN:
        return image.convert(PLAIN[image.mode])
    if image.mode[0] not in "IF":
        return image
    values = np.nan_to_num(np.asarray(image).astype(np.float32), posinf=0, neginf=0)
    white = _white(image.mode, float(values.max(initial=0)))
    levels = (values * 255).round() if white == 1 else values / (white / 255)
    return Image.fromarray(levels.clip(0, 255).astype(np.uint8))


def _white(mode: str, brightest: float) -> float:
    """The value that means white: what 16 bits, 8 bits or (for floats) a share can hold."""
    if mode == "F" and brightest <= OVERSHOOT:
        return 1.0
    if mode in ("I", "F") and brightest <= 255:
        return 255.0
    if brightest <= 65535:
        return 65535.0
    raise Unusable(f"has values up to {brightest:.3g}, which is no brightness; save it in 16 bits")


def _to_srgb(image: Image.Image) -> Image.Image:
    """Convert from the embedded colour profile; without a fitting one, the picture as it is."""
    profile = image.info.get("icc_profile")
    if not profile or image.mode == "LAB":  # which says what its colours are by itself
        return image
    # A profile is one of grey, RGB or CMYK, and knows no palette and no transparency.
    opaque = image.convert(OPAQUE.get(image.mode, image.mode))
    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        target = ImageCms.createProfile("sRGB")
        converted = ImageCms.profileToProfile(opaque, source, target, outputMode="RGB")
    except Exception:  # a broken profile, however it breaks, is no reason to refuse the picture
        return image
    converted.info.pop("transparency", None)
    if image.has_transparency_data:
        converted.putalpha(image.convert("RGBA").getchannel("A"))
    return converted


def is_animated(image: Image.Image) -> bool:
    """Say whether an opened file holds several pictures that are meant to be seen in turn."""
    # Phones hide more pictures in a JPEG (MPO) or HEIC, which Pillow counts as frames.
    return getattr(image, "n_frames", 1) > 1 and image.format not in ("MPO", "HEIF")


def to_pixels(image: "Tensor") -> np.ndarray:
    """Image [3, H, W], nominally in [0, 1] -> 8-bit pixels [H, W, 3]."""
    import torch

    levels = (image.detach().float().clamp(0, 1) * 255).round().to(torch.uint8)
    return levels.permute(1, 2, 0).contiguous().cpu().numpy()


def to_image(pixels: np.ndarray) -> "Tensor":
    """8-bit pixels [H, W, 3] -> image [3, H, W] in [0, 1]."""
    import torch

    return torch.from_numpy(np.array(pixels)).permute(2, 0, 1).float() / 255


def write_png(
    path: Path,
    pixels: np.ndarray,
    text: Mapping[str, str],
    xmp: str = "",
    *,
    printable: bool = False,
) -> None:
    """Write 8-bit pixels [H, W, 3] as a PNG in sRGB with text chunks and, if given, an XMP packet.

    printable: also with an ICC profile and PRINT_DPI, for programs that go by these.
    """
    chunks = PngImagePlugin.PngInfo()
    # Both say the same. Pillow writes one of them only, as the PNG specification recommends; but
    # browsers look for the one and labs for the other.
    chunks.add(STAND_IN if printable else b"sRGB", b"\0")
    for key, value in text.items():
        chunks.add_text(key, value) if value.isascii() else chunks.add_itxt(key, value)
    if xmp:
        chunks.add_itxt("XML:com.adobe.xmp", xmp)
    more = {"icc_profile": srgb_profile(), "dpi": (PRINT_DPI, PRINT_DPI)} if printable else {}
    with replacing(path) as temporary:
        Image.fromarray(pixels).save(temporary, format="PNG", pnginfo=chunks, **more)
        if printable:
            _put_in_place(temporary, png_chunk(STAND_IN, b"\0"), png_chunk(b"sRGB", b"\0"))


@cache
def srgb_profile() -> bytes:
    """The ICC profile of sRGB, of always the same bytes."""
    made = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    # The header's date is the moment of making (ICC.1:2022, 7.2.8); this is the standard's own.
    return made[:24] + struct.pack(">6H", 1999, 10, 18, 0, 0, 0) + made[36:]


def png_chunk(kind: bytes, data: bytes) -> bytes:
    """A chunk of a PNG file: length, kind, data, CRC (PNG specification, 5.3)."""
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def _put_in_place(path: Path, old: bytes, new: bytes) -> None:
    """Overwrite the first occurrence near a file's beginning with as many other bytes."""
    with path.open("r+b") as file:
        file.seek(file.read(65536).index(old))
        file.write(new)
