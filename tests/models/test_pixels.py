"""Pictures keep their colours on the way to tensors and back."""

import numpy as np
import pytest
import torch
from PIL import Image, ImageCms

from smalti.models.pixels import flatten, to_image, to_pixels


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


def test_a_profile_that_does_not_fit_is_passed_over(tmp_path):
    lab = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes()
    for number, profile in enumerate((b"no profile", lab)):
        path = tmp_path / f"{number}.png"
        Image.new("RGB", (8, 8), (204, 102, 51)).save(path, icc_profile=profile)
        with Image.open(path) as image:
            assert flatten(image)[0].getpixel((0, 0)) == (204, 102, 51)


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
