import numpy as np
import pytest
import torch
from PIL import Image

from smalti.configs.errors import InputError
from smalti.generate.reference import load_photo
from smalti.models.metrics import psnr, ssim


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
    expected = {
        "none.jpg": "does not exist",
        "": "is a folder",
        "text.jpg": "not an image",
        "cut.jpg": "damaged or cut short",
        "tiny.png": "only 20x200 px",
        "moving.gif": "animated",
    }
    for name, message in expected.items():
        with pytest.raises(InputError, match=message):
            load_photo(tmp_path / name)


def test_psnr_and_ssim_of_known_pictures():
    base = torch.full((3, 128, 128), 0.5)
    assert psnr(base + 0.1, base) == pytest.approx(20.0, abs=1e-3)  # 10 log10(1 / 0.01)
    assert ssim(base, base) == pytest.approx(1.0, abs=1e-4)


def test_metrics_look_from_afar():
    """Detail below 64 px does not count: a fine checkerboard around a mean is that mean."""
    board = torch.zeros(3, 512, 512)
    board[:, ::2, ::2] = board[:, 1::2, 1::2] = 1
    assert psnr(board, torch.full((3, 128, 128), 0.5)) > 40


def test_ssim_agrees_with_scikit_image():
    structural_similarity = pytest.importorskip("skimage.metrics").structural_similarity
    torch.manual_seed(0)
    image, noise = torch.rand(3, 64, 64), 0.1 * torch.randn(3, 64, 64)
    other = (image + noise).clamp(0, 1)
    theirs = structural_similarity(
        image.permute(1, 2, 0).numpy(),
        other.permute(1, 2, 0).numpy(),
        channel_axis=2,
        gaussian_weights=True,
        sigma=1.5,
        use_sample_covariance=False,
        data_range=1.0,
    )
    assert ssim(other, image) == pytest.approx(theirs, abs=0.01)
