"""Pictures keep their colours on the way to tensors and back."""

import io
import itertools
import struct
import time
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image, ImageCms

from smalti.models.photos import load_photo
from smalti.models.pixels import (
    PRINT_DPI,
    Unusable,
    flatten,
    srgb_profile,
    to_image,
    to_pixels,
    write_png,
)


def test_flatten_takes_alpha_as_mask_and_scales_sixteen_bit():
    image, mask = Image.new("RGB", (20, 20), "blue"), Image.new("L", (20, 20))
    image.paste("red", (5, 5, 15, 15))
    mask.paste(255, (5, 5, 15, 15))
    image.putalpha(mask)
    rgb, alpha = flatten(image)
    assert rgb.getpixel((0, 0)) == (255, 255, 255) and rgb.getpixel((10, 10)) == (255, 0, 0)
    assert alpha is not None and np.array_equal(np.asarray(alpha), np.asarray(mask))
    assert flatten(Image.new("RGBA", (4, 4), "red"))[1] is None
    deep = Image.fromarray(np.full((4, 4), 65535 // 2, np.uint16))
    assert flatten(deep)[0].getpixel((0, 0)) == (127, 127, 127)


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "P"])
def test_an_embedded_profile_is_converted(tmp_path, mode):
    """In a profile whose red and blue have changed places, what is stored as red means blue."""
    swapped = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    red, blue = swapped.index(b"rXYZ"), swapped.index(b"bXYZ")  # in the table of tags
    swapped[red : red + 4], swapped[blue : blue + 4] = b"bXYZ", b"rXYZ"
    picture = Image.new("RGB", (8, 8), (204, 102, 51))
    if mode == "RGBA":
        picture.putalpha(Image.new("L", (8, 8), 255))
        picture.putpixel((0, 0), (204, 102, 51, 0))
    picture.convert(mode).save(tmp_path / "p.png", icc_profile=bytes(swapped))
    with Image.open(tmp_path / "p.png") as image:
        assert image.mode == mode
        rgb, alpha = flatten(image)
    assert rgb.getpixel((5, 5)) == pytest.approx((51, 102, 204), abs=2)
    assert (alpha is not None) == (mode == "RGBA")


def grey_profile(gamma: float) -> bytes:
    """The smallest ICC profile of a grey scale with this gamma (ICC.1:2001-04)."""
    gray = b"curv" + bytes(4) + (1).to_bytes(4) + int(gamma * 256).to_bytes(2) + bytes(2)
    white = b"XYZ " + bytes(4) + b"".join(n.to_bytes(4) for n in (63190, 65536, 54061))
    at = 128 + 4 + 2 * 12
    tags = [(b"kTRC", at, len(gray)), (b"wtpt", at + len(gray), len(white))]
    table = (2).to_bytes(4) + b"".join(n + o.to_bytes(4) + s.to_bytes(4) for n, o, s in tags)
    body = table + gray + white
    head = (128 + len(body)).to_bytes(4) + bytes(4) + b"\x02\x10\0\0" + b"mntrGRAYXYZ "
    return head.ljust(36, b"\0") + b"acsp" + bytes(88) + body


@pytest.mark.parametrize("mode", ["L", "LA"])
def test_grey_is_converted_by_its_own_profile(mode):
    """A linear grey of 100 is brighter in sRGB (IEC 61966-2-1): 100 / 255 is 0.66 there, 168."""
    image = Image.new("L", (8, 8), 100)
    if mode == "LA":
        image.putalpha(255)
    image.info["icc_profile"] = grey_profile(1.0)
    assert flatten(image)[0].getpixel((0, 0)) == pytest.approx((168,) * 3, abs=1)


def test_a_profile_that_does_not_fit_is_passed_over(tmp_path):
    lab = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes()
    floats = Image.new("F", (8, 8), 182)
    floats.info["icc_profile"] = grey_profile(2.2)
    assert flatten(floats)[0].getpixel((0, 0)) == (182,) * 3
    for number, profile in enumerate((b"no profile", lab)):
        path = tmp_path / f"{number}.png"
        Image.new("RGB", (8, 8), (204, 102, 51)).save(path, icc_profile=profile)
        with Image.open(path) as image:
            assert flatten(image)[0].getpixel((0, 0)) == (204, 102, 51)


@pytest.mark.parametrize(
    ("mode", "white"), [("F", 1.0), ("F", 255.0), ("F", 65535.0), ("I", 65535), ("I", 255)]
)
def test_numbers_are_grey_in_their_own_range(mode: str, white: float):
    shares = np.linspace(0, 1, 64).reshape(8, 8)
    kind = np.float32 if mode == "F" else np.int32
    image = Image.fromarray((shares * white).astype(kind))
    assert image.mode == mode
    grey = np.asarray(flatten(image)[0])[..., 0]
    assert np.abs(grey - shares * 255).max() <= 1


def test_numbers_that_are_no_brightness():
    odd = np.full((4, 4), 0.5, np.float32)
    odd[0] = np.nan, np.inf, -np.inf, -3
    assert np.asarray(flatten(Image.fromarray(odd))[0])[0].max() == 0
    assert flatten(Image.fromarray(odd))[0].getpixel((0, 1)) == (128, 128, 128)
    with pytest.raises(Unusable):
        flatten(Image.fromarray(np.full((4, 4), 1e9, np.float32)))


@pytest.mark.parametrize("mode", ["La", "RGBa", "PA", "HSV", "YCbCr", "RGBX", "I;16B", "LAB", "1"])
def test_every_mode_of_pillow_is_flattened(mode: str):
    assert flatten(Image.new(mode, (4, 4)))[0].mode == "RGB"


def test_lab_has_its_own_colours(tmp_path):
    picture = Image.new("RGB", (8, 8), (200, 60, 40)).convert("LAB")
    picture.save(tmp_path / "a.tif", icc_profile=grey_profile(1.0))
    with Image.open(tmp_path / "a.tif") as image:
        assert image.mode == "LAB"
        assert flatten(image)[0].getpixel((0, 0)) == pytest.approx((200, 60, 40), abs=2)


def test_every_level_survives_the_way_there_and_back():
    levels = np.arange(256, dtype=np.uint8).reshape(16, 16)
    pixels = np.stack([levels, levels.T, 255 - levels], axis=-1)
    image = to_image(pixels)
    assert image.shape == (3, 16, 16)
    assert image[0, 0, 1].item() == pytest.approx(1 / 255)
    assert np.array_equal(to_pixels(image), pixels)


def test_values_out_of_range_are_clipped_and_rounded():
    image = torch.tensor([-0.2, 0.4999 / 255, 1.3]).reshape(3, 1, 1)
    assert to_pixels(image).tolist() == [[[0, 0, 255]]]


def chunks_of(path: Path) -> list[tuple[bytes, bytes]]:
    """Kind and data of every chunk of a PNG, each with a correct CRC (PNG specification, 5.3)."""
    content, found = path.read_bytes(), []
    assert content[:8] == b"\x89PNG\r\n\x1a\n"
    at = 8
    while at < len(content):
        (length,) = struct.unpack_from(">I", content, at)
        kind, data = content[at + 4 : at + 8], content[at + 8 : at + 8 + length]
        assert struct.unpack_from(">I", content, at + 8 + length) == (zlib.crc32(kind + data),)
        found.append((kind, data))
        at += 12 + length
    return found


@pytest.fixture
def every_colour() -> np.ndarray:
    """8-bit pixels of 17 levels in every channel, and all greys."""
    levels = [*range(0, 256, 16), 255]
    grid = [*itertools.product(levels, repeat=3), *((n % 256,) * 3 for n in range(271))]
    return np.array(grid, np.uint8).reshape(72, 72, 3)


def test_pictures_are_srgb(tmp_path, every_colour):
    write_png(tmp_path / "a.png", every_colour, {"note": "a", "name": "Ö"}, "<x/>")
    kinds = [kind for kind, _ in chunks_of(tmp_path / "a.png")]
    assert kinds[0] == b"IHDR" and kinds[-1] == b"IEND"
    assert kinds.index(b"sRGB") < kinds.index(b"IDAT")
    assert not {b"iCCP", b"pHYs"} & set(kinds)


def test_printable_pictures_also_have_a_profile_and_a_size(tmp_path, every_colour):
    write_png(tmp_path / "a.png", every_colour, {"note": "a"}, "<x/>", printable=True)
    chunks = chunks_of(tmp_path / "a.png")
    kinds, facts = [kind for kind, _ in chunks], dict(chunks)
    assert kinds.count(b"sRGB") == kinds.count(b"iCCP") == kinds.count(b"pHYs") == 1
    assert max(map(kinds.index, (b"sRGB", b"iCCP", b"pHYs"))) < kinds.index(b"IDAT")
    assert facts[b"sRGB"] == b"\0"  # perceptual
    across, down, unit = struct.unpack(">IIB", facts[b"pHYs"])
    assert across == down == pytest.approx(PRINT_DPI / 0.0254, abs=1) and unit == 1  # per metre
    name, _, packed = facts[b"iCCP"].partition(b"\0")
    profile = zlib.decompress(packed[1:])
    assert name and int.from_bytes(profile[:4]) == len(profile) and profile[36:40] == b"acsp"
    assert profile[12:24] == b"mntrRGB XYZ "
    assert "sRGB" in ImageCms.getProfileName(io.BytesIO(profile))


def test_no_colour_changes_on_the_way_to_a_printable_picture_and_back(tmp_path, every_colour):
    """Neither for a reader that goes by no profile nor for ours, which goes by the picture's."""
    write_png(tmp_path / "a.png", every_colour, {}, printable=True)
    assert np.array_equal(np.asarray(Image.open(tmp_path / "a.png")), every_colour)
    assert np.array_equal(to_pixels(load_photo(tmp_path / "a.png")), every_colour)


def test_the_profile_is_the_same_at_any_time():
    first = srgb_profile.__wrapped__()
    time.sleep(1.05)  # the library's dates count seconds
    assert srgb_profile.__wrapped__() == first
