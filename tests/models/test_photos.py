"""Photos of the user's: upright, in sRGB, over white; what cannot serve is refused."""

import numpy as np
import pytest
import torch
from PIL import Image
from refusals import refused

from smalti.models.photos import check_photo, load_photo


def test_photos_are_turned_upright(tmp_path):
    pixels = np.zeros((80, 120, 3), np.uint8)
    pixels[:, :60, 0] = 255  # the left half is red
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by 90 degrees clockwise
    Image.fromarray(pixels).save(tmp_path / "turned.png", exif=exif)
    photo = load_photo(tmp_path / "turned.png")
    assert photo.shape == (3, 120, 80)
    assert photo[0, :60].mean() == 1 and photo[0, 60:].mean() == 0


def test_transparency_lies_over_white(tmp_path):
    Image.new("RGBA", (64, 64), (255, 0, 0, 0)).save(tmp_path / "clear.png")
    assert load_photo(tmp_path / "clear.png").min() == 1


@pytest.mark.parametrize("mode", ["L", "P", "CMYK", "LA", "1", "RGB"])
def test_every_mode_becomes_rgb(tmp_path, mode):
    kind = "tif" if mode == "CMYK" else "png"
    Image.new("RGB", (70, 64), (204, 204, 204)).convert(mode).save(tmp_path / f"x.{kind}")
    photo = load_photo(tmp_path / f"x.{kind}")
    assert photo.shape == (3, 64, 70)
    if mode != "1":
        assert torch.allclose(photo, torch.tensor(0.8), atol=0.01)


def test_sixteen_bit_grey_is_scaled_not_clipped(tmp_path):
    ramp = np.linspace(0, 65535, 64 * 64).reshape(64, 64).astype(np.uint16)
    Image.fromarray(ramp).save(tmp_path / "deep.png")
    photo = load_photo(tmp_path / "deep.png")
    assert photo.mean().item() == pytest.approx(0.5, abs=0.01)


def test_phone_jpegs_with_a_second_picture_serve(tmp_path):
    first, second = Image.new("RGB", (80, 70), "red"), Image.new("RGB", (80, 70), "blue")
    first.save(tmp_path / "phone.jpg", format="MPO", save_all=True, append_images=[second])
    photo = load_photo(tmp_path / "phone.jpg")
    assert photo.shape == (3, 70, 80) and photo[0].min() > 0.95 and photo[2].max() < 0.05


def test_files_that_cannot_serve(tmp_path):
    (tmp_path / "text.jpg").write_text("no image")
    noise = np.random.default_rng(0).integers(0, 255, (200, 200, 3), np.uint8)
    Image.fromarray(noise).save(tmp_path / "whole.jpg")
    (tmp_path / "cut.jpg").write_bytes((tmp_path / "whole.jpg").read_bytes()[:5000])
    Image.new("RGB", (20, 200)).save(tmp_path / "tiny.png")
    frames = [Image.new("RGB", (64, 64), color) for color in ("red", "blue")]
    frames[0].save(tmp_path / "moving.gif", save_all=True, append_images=frames[1:])
    details = {"tiny.png": "20x200"}
    for name in ("none.jpg", "", "text.jpg", "cut.jpg", "tiny.png", "moving.gif"):
        for read in (load_photo, check_photo):
            with refused("pool picture", str(tmp_path / name), details.get(name, "")):
                read(tmp_path / name, "pool picture")


def test_a_photo_of_more_pixels_than_pillow_trusts_is_refused(tmp_path, monkeypatch):
    Image.new("RGB", (200, 200)).save(tmp_path / "huge.png")
    for limit in (30_000, 10_000):  # Pillow warns of the one and refuses the other
        monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", limit)
        with refused(str(tmp_path / "huge.png")):
            check_photo(tmp_path / "huge.png")


def test_the_smallest_side_may_be_chosen(tmp_path):
    Image.new("RGB", (20, 200), "red").save(tmp_path / "small.png")
    assert load_photo(tmp_path / "small.png", smallest=20).shape == (3, 200, 20)
