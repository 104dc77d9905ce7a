"""Crops: picture and mask stay aligned, windows keep their subject, keys alone decide."""

import numpy as np
import pytest
import torch
from PIL import Image
from training import marked

from smalti.train.crops import WHOLE_EVERY, choose_window, find_anchor, make_crop


@pytest.mark.parametrize("word", ["girl", "mug"])
@pytest.mark.parametrize("size", [(200, 300), (300, 200), (256, 256), (90, 70)])
@pytest.mark.parametrize("flip", [False, True])
def test_mask_stays_on_the_marker(word: str, size: tuple[int, int], flip: bool):
    """Wherever a crop lands, red pixels and mask pixels must be the same ones."""
    width, height = size
    box = (width // 3, height // 4, 2 * width // 3, 3 * height // 4)
    image, mask = marked(size, box)
    for index in range(8):
        crop = make_crop(image, mask, word, 64, index, flip, (0, 1))
        assert crop.image.shape == (3, 64, 64) and crop.subject.shape == (1, 64, 64)
        red = (crop.image[0] - crop.image[1]) > 0.5
        inside = crop.subject[0] > 0.5
        real = crop.padding[0] > 0
        assert inside.any()
        # Borders are blurred by the resize; edge-coloured padding may repeat the marker.
        assert ((red & real) != inside).float().mean() < 0.08
        assert not inside[~real].any()


def test_crops_vary_but_depend_on_their_key_alone():
    image, mask = marked((300, 400), (100, 50, 200, 350))
    first = [make_crop(image, mask, "girl", 64, k, False, (0, 7)).subject for k in range(8)]
    again = [make_crop(image, mask, "girl", 64, k, False, (0, 7)).subject for k in range(8)]
    other = [make_crop(image, mask, "girl", 64, k, False, (1, 7)).subject for k in range(8)]
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))
    assert not any(torch.equal(a, b) for a, b in zip(first[1:], other[1:], strict=True))
    assert len({tuple(crop.flatten().tolist()) for crop in first}) == 8


def test_windows_stay_inside_and_keep_the_head():
    rng = np.random.default_rng(0)
    _, mask = marked((400, 500), (150, 60, 250, 460))
    anchor = find_anchor(mask, "girl")
    assert anchor.y == 60 and anchor.x == pytest.approx(200, abs=1)
    assert anchor.extent == pytest.approx(120, abs=2)
    assert find_anchor(mask, "mug").y == pytest.approx(260, abs=1)
    for _ in range(100):
        left, top, right, bottom = choose_window(rng, (400, 500), anchor, "girl", 128)
        assert 0 <= left < right <= 400 and 0 <= top < bottom <= 500
        assert right - left == pytest.approx(bottom - top)
        assert 200 <= right - left <= 400
        assert left < anchor.x < right and top <= anchor.y < bottom


def test_a_head_that_fills_the_image_is_not_cut_through():
    rng = np.random.default_rng(0)
    _, mask = marked((400, 400), (50, 20, 350, 399))
    for _ in range(20):
        window = choose_window(rng, (400, 400), find_anchor(mask, "girl"), "girl", 128)
        assert window[2] - window[0] >= 0.85 * 400


def test_small_images_are_not_cut_into_smaller_ones():
    rng = np.random.default_rng(0)
    window = choose_window(rng, (90, 70), None, "mug", 128)
    assert window[2] - window[0] == pytest.approx(70)


def test_the_first_crop_is_the_largest_square_around_the_subject():
    """The window in closed form, and pixel for pixel the square cut there."""
    _, mask = marked((400, 500), (150, 60, 250, 460))
    head = find_anchor(mask, "girl")
    assert choose_window(None, (400, 500), head, "girl", 128) == pytest.approx((0, 20, 400, 420))
    aside = find_anchor(marked((500, 400), (420, 100, 479, 299))[1], "mug")
    assert choose_window(None, (500, 400), aside, "mug", 128) == pytest.approx((100, 0, 500, 400))
    assert choose_window(None, (300, 200), None, "mug", 128) == pytest.approx((50, 0, 250, 200))
    assert choose_window(None, (200, 300), None, "girl", 128) == pytest.approx((0, 7.5, 200, 207.5))

    image, mask = marked((300, 200), (60, 40, 240, 160))
    crop = make_crop(image, mask, "mug", 200, 0, False, (3, 1))
    expected = np.asarray(image.crop((50, 0, 250, 200)), dtype=np.float32) / 255
    np.testing.assert_allclose(crop.image.permute(1, 2, 0), expected, atol=1e-6)
    assert crop.padding.min() == 1


def test_whole_views_show_the_whole_image_with_its_padding_marked():
    image, mask = marked((200, 100), (0, 0, 199, 99))
    crop = make_crop(image, mask, "mug", 64, 3, False, (0, 0))
    rows, columns = (crop.padding[0].amax(axis).sum() for axis in (1, 0))
    assert 0.69 * 64 < columns <= 64 and rows == pytest.approx(columns / 2, abs=1)
    assert crop.padding.sum() == rows * columns
    assert torch.equal(crop.subject > 0.5, crop.padding > 0.5)


@pytest.mark.parametrize("flip", [False, True])
@pytest.mark.parametrize("index", [0, 1, 2, 4])
def test_a_frame_says_what_a_crop_shows(flip, index):
    """Read off the pixels: their red is the column that they come from, their green the row."""
    width, height, side = 240, 160, 32
    across, down = np.meshgrid(np.arange(width), np.arange(height))
    image = Image.fromarray(np.stack([across, down, down], -1).astype(np.uint8))
    crop = make_crop(image, None, "mug", side, index, flip, (5, 6))
    red, green = (crop.image[:2] * 255).unbind()
    mirrored = bool(red[0, 0] > red[0, -1])
    assert not mirrored or flip
    step = float(green[-1, 0] - green[0, 0]) / (side - 1)  # pixels of the original
    first = float(red[0, -1] if mirrored else red[0, 0]) - (step - 1) / 2
    left = width - (first + step * side) if mirrored else first
    top = float(green[0, 0]) - (step - 1) / 2
    assert crop.frame[:2].tolist() == [height, width]
    assert crop.frame[2].item() == pytest.approx(top / step, abs=1)
    assert crop.frame[3].item() == pytest.approx(left / step, abs=1)


def test_a_whole_view_is_cropped_nowhere():
    image, _ = marked((60, 40), (0, 0, 5, 5))
    crop = make_crop(image, None, "mug", 32, WHOLE_EVERY - 1, True, (5, 6))
    assert crop.frame.tolist() == [40, 60, 0, 0]
