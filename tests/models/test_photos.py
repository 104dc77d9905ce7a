"""Photos of the user's: upright, in sRGB, over white; what cannot serve is refused."""

import struct
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pillow_heif
import pytest
import torch
from PIL import Image
from refusals import refused

from smalti.models import photos
from smalti.models.photos import check_header, check_photo, load_photo, photo_path, read_photo


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


def test_a_photo_of_too_many_pixels_is_refused(tmp_path, monkeypatch):
    Image.new("RGB", (200, 200)).save(tmp_path / "huge.png")
    for limit in (30_000, 10_000):  # Pillow warns of the one and refuses the other
        monkeypatch.setattr(photos, "MAX_PIXELS", limit)
        with refused(str(tmp_path / "huge.png")):
            check_photo(tmp_path / "huge.png")


@pytest.mark.parametrize("name", ["a.jpg", "a.png", "palette.png", "bits.png", "a.heic"])
def test_large_photos_are_read_smaller(tmp_path, monkeypatch, name):
    """Above the limit, here 10,000 pixels, by the least power of two; JPEGs as they are decoded."""
    picture = Image.new("RGB", (401, 300), "red")
    picture.paste("blue", (200, 0, 401, 300))
    pillow_heif.register_heif_opener()
    mode = {"palette.png": "P", "bits.png": "1"}.get(name, "RGB")
    picture.convert(mode).save(tmp_path / name, exif=turned(6))
    monkeypatch.setattr(photos, "FULL_PIXELS", 10_000)
    small = read_photo(tmp_path / name)
    assert small.size == (75, 101)  # turned
    if mode != "1":
        top, bottom = (
            np.asarray(small.convert("RGB"))[part].mean((0, 1)) for part in (np.s_[:40], np.s_[60:])
        )
        assert top[0] > 240 and top[2] < 15 and bottom[0] < 15 and bottom[2] > 240


def test_reading_leaves_pillows_own_limit_alone(tmp_path):
    Image.new("RGB", (64, 64)).save(tmp_path / "a.png")
    before = Image.MAX_IMAGE_PIXELS
    read_photo(tmp_path / "a.png")
    with refused("none.png"):
        check_photo(tmp_path / "none.png")
    assert before == Image.MAX_IMAGE_PIXELS


def test_more_than_memory_holds_is_refused(tmp_path, monkeypatch):
    import psutil

    Image.new("1", (12_000, 12_000)).save(tmp_path / "large.png")
    monkeypatch.setattr(psutil, "virtual_memory", lambda: SimpleNamespace(available=2**28))
    check_header(tmp_path / "large.png", "reference", 64)
    with refused("large.png", "GiB"):
        check_photo(tmp_path / "large.png")


def turned(orientation: int) -> bytes:
    exif = Image.Exif()
    exif[0x0112] = orientation
    return exif.tobytes()


@pytest.mark.parametrize("kind", ["heic", "avif", "tif", "webp", "png", "jpg", "mpo"])
def test_a_phones_photo_is_turned_once(tmp_path, kind):
    """As a phone writes it: stored lying, with the orientation in the file's own way."""
    pillow_heif.register_heif_opener()
    pixels = np.zeros((80, 120, 3), np.uint8)
    pixels[:, :60] = 255  # left half white; upright, the top half is
    Image.fromarray(pixels).save(tmp_path / f"a.{kind}", exif=turned(6))
    upright = np.asarray(read_photo(tmp_path / f"a.{kind}"))
    assert upright.shape == (120, 80, 3)
    assert upright[:50].min() > 200 and upright[70:].max() < 50


def test_heic_is_known_by_its_content_in_a_fresh_process(tmp_path):
    pillow_heif.register_heif_opener()
    Image.new("RGB", (64, 70), "red").save(tmp_path / "a.heic")
    (tmp_path / "a.heic").rename(tmp_path / "sent.jpg")
    code = (
        "import sys; from pathlib import Path; from smalti.models.photos import read_photo; "
        "before = 'pillow_heif' in sys.modules; image = read_photo(Path(sys.argv[1])); "
        "print(before, *image.size)"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "sent.jpg")]
    assert subprocess.run(command, capture_output=True, text=True).stdout == "False 64 70\n"


GARBAGE = [
    b"\0\1\2\3" * 20,
    b"Exif\0\0",
    b"II*\0\xff\xff\xff\xff",
    b"MM\0*\0\0\0\x08\xff\xff\x01\x12",
]


@pytest.mark.parametrize("kind", ["png", "webp", "jpg", "heic"])
@pytest.mark.parametrize("garbage", GARBAGE, ids=range(len(GARBAGE)))
def test_garbage_beside_the_pixels_keeps_no_photo_out(tmp_path, kind, garbage):
    pillow_heif.register_heif_opener()
    path = tmp_path / f"a.{kind}"
    Image.new("RGB", (80, 64), (204, 102, 51)).save(path, exif=garbage, icc_profile=garbage)
    photo = load_photo(path)
    assert photo.shape == (3, 64, 80)
    assert photo.mean((1, 2)) * 255 == pytest.approx([204, 102, 51], abs=4)


def test_what_can_be_read_of_broken_exif_turns_the_photo(tmp_path):
    """The orientation stands first; the entry after it points out of the data."""
    entries = b"\x01\x12\0\3\0\0\0\1\0\x06\0\0" + b"\x01\x0f\0\2\0\0\xff\xff\0\0\xff\xff"
    exif = b"MM\0*\0\0\0\x08" + b"\0\2" + entries
    Image.new("RGB", (80, 64)).save(tmp_path / "a.png", exif=exif)
    assert read_photo(tmp_path / "a.png").size == (64, 80)


@pytest.mark.parametrize(
    "error",
    [
        RuntimeError,
        TypeError,
        SyntaxError,
        struct.error,
        IndexError,
        MemoryError,
        Image.DecompressionBombError,
    ],
)
def test_whatever_a_decoder_throws_names_the_file(tmp_path, monkeypatch, error):
    def load(image):
        raise error("inside")

    Image.new("RGB", (64, 64)).save(tmp_path / "a.png")
    monkeypatch.setattr("PIL.PngImagePlugin.PngImageFile.load", load)
    with refused("a.png"):
        load_photo(tmp_path / "a.png")


@pytest.mark.parametrize("given", ["-", "https://example.org/a.jpg", "HTTP://x/y", "s3://b/a.jpg"])
def test_what_is_no_path_is_said_to_be_none(given):
    with refused(given, "--ref"):
        photo_path(given)


@pytest.mark.parametrize(
    "given", ["a.jpg", "./-", "C:/a.jpg", "a://b".replace("://", ":/"), "~nobody-here/a.jpg"]
)
def test_paths_are_paths(given):
    assert str(photo_path(given)) == str(Path(given))


def test_the_smallest_side_may_be_chosen(tmp_path):
    Image.new("RGB", (20, 200), "red").save(tmp_path / "small.png")
    assert load_photo(tmp_path / "small.png", smallest=20).shape == (3, 200, 20)


def test_postscript_is_refused_before_another_program_runs_it(tmp_path, monkeypatch):
    Image.new("RGB", (80, 80), "red").save(tmp_path / "photo.jpg", format="EPS")
    monkeypatch.setattr("PIL.EpsImagePlugin.Ghostscript", None)  # whoever calls it, fails
    with refused("photo.jpg", "PostScript"):
        check_photo(tmp_path / "photo.jpg")
