"""Crops, masks, captions and the sampler: aligned, repeatable, and cached only while valid."""

from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image, ImageDraw

from smalti.configs.settings import TrainSettings
from smalti.train.templates import caption_templates, fill, kind_of
from smalti.train.concept import load_concept
from smalti.train.crops import choose_window, find_anchor, make_crop
from smalti.train.dataset import LIGHTS, build_latents
from smalti.train.sampling import draw_sample, image_at, relit_at, template_at

SETTINGS = TrainSettings(crops_per_image=3)
EVEN = torch.ones(1000)


def marked(
    size: tuple[int, int], box: tuple[int, int, int, int]
) -> tuple[Image.Image, Image.Image]:
    """A grey image with a red rectangle, and the rectangle's mask."""
    image, mask = Image.new("RGB", size, "gray"), Image.new("L", size, 0)
    ImageDraw.Draw(image).rectangle(box, fill="red")
    ImageDraw.Draw(mask).rectangle(box, fill=255)
    return image, mask


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Four images with masks, one of them a cut-out with its own alpha channel."""
    folder = tmp_path / "mug"
    folder.mkdir()
    for i in range(4):
        image, mask = marked((100 + 10 * i, 140), (30 + i, 40, 70, 110))
        if i == 3:
            image.putalpha(mask)
        else:
            mask.save(folder / f"p{i}.mask.png")
        image.save(folder / f"p{i}.png")
    return folder


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


def test_latents_are_those_of_the_crops_and_masks_by_area(folder: Path, tiny_base):
    concept = load_concept(folder, "mug")
    data = build_latents(concept, tiny_base, SETTINGS)
    assert data.latents.shape == (4, 3, 1, 4, 8, 8) and data.subject.shape == (4, 3, 1, 8, 8)
    assert data.has_mask.all()
    assert ((data.subject >= 0) & (data.subject <= 1)).all()
    assert ((data.subject > 0.05) & (data.subject < 0.95)).any(), "soft borders"
    # A subject's share never exceeds that of real picture.
    assert (data.subject <= data.padding + 1e-6).all()


def test_latents_come_from_the_cache_until_something_changes(folder: Path, tiny_base, tmp_path):
    cache, calls = tmp_path / "cache", []

    def build(settings=SETTINGS):
        calls.clear()
        concept = load_concept(folder, "mug")
        return build_latents(concept, tiny_base, settings, cache, lambda *a: calls.append(a))

    first = build()
    assert calls[-1] == (4, 4)
    second = build()
    assert not calls and torch.equal(first.latents, second.latents)
    assert first.digest == second.digest
    changed = build(TrainSettings(crops_per_image=3, seed=1))
    assert calls and changed.digest != first.digest
    build()
    marked((110, 140), (10, 10, 60, 60))[0].save(folder / "p1.png")
    third = build()
    assert calls and not torch.equal(first.latents[1], third.latents[1])
    # Crops are keyed by content: the other images kept theirs.
    assert torch.equal(first.latents[0], third.latents[0])
    assert len(list(cache.glob("*"))) == 1
    next(cache.glob("latents-*")).write_bytes(b"cut short")
    assert torch.equal(build().latents, third.latents) and calls


def test_relit_copies_stand_beside_the_crops(folder: Path, tiny_base):
    concept = load_concept(folder, "mug")
    plain = build_latents(concept, tiny_base, SETTINGS)
    settings = replace(SETTINGS, relit_share=0.5)
    data = build_latents(concept, tiny_base, settings)
    assert plain.lights == 0 and data.lights == LIGHTS
    torch.testing.assert_close(data.latents[:, :, :1], plain.latents, atol=1e-4, rtol=0)
    views = data.latents.flatten(0, 1).flatten(2)
    distances = torch.cdist(views, views) + 1e3 * torch.eye(1 + LIGHTS)
    assert distances.min() > 0.1  # none is the crop itself or another copy
    assert data.digest != plain.digest
    assert torch.equal(build_latents(concept, tiny_base, settings).latents, data.latents)


def test_steps_in_other_lights_come_as_often_as_asked():
    shown = [relit_at(0, step, 0.3) for step in range(2000)]
    assert abs(sum(shown) / 2000 - 0.3) < 4 * (0.3 * 0.7 / 2000) ** 0.5
    assert not any(relit_at(0, step, 0.0) for step in range(100))
    assert all(relit_at(0, step, 1.0) for step in range(100))


def test_lights_change_nothing_else_of_a_sample():
    draw = partial(draw_sample, 0, images=5, crops=4, shape=(4, 8, 8), noise_offset=0.1,
                   timestep_weights=EVEN)  # fmt: skip
    plain, relit = [draw(p) for p in range(200)], [draw(p, lights=3) for p in range(200)]
    assert {sample.light for sample in plain} == {0}
    assert {sample.light for sample in relit} == {1, 2, 3}
    for a, b in zip(plain, relit, strict=True):
        assert (a.image, a.crop, a.timestep) == (b.image, b.crop, b.timestep)
        assert torch.equal(a.noise, b.noise)


def test_without_masks(folder: Path, tiny_base):
    settings = TrainSettings(crops_per_image=2, use_masks=False)
    data = build_latents(load_concept(folder, "mug"), tiny_base, settings)
    assert not data.has_mask.any() and torch.equal(data.subject, data.padding)


def test_every_epoch_shows_every_image_once():
    seen = [image_at(3, position, 7) for position in range(21)]
    for epoch in range(3):
        assert sorted(seen[7 * epoch : 7 * epoch + 7]) == list(range(7))
    assert seen[:7] != seen[7:14]
    assert seen == [image_at(3, position, 7) for position in range(21)]


def test_samples_depend_on_seed_and_position_alone():
    def draw(seed: int, position: int):
        return draw_sample(
            seed, position, images=5, crops=4, shape=(4, 8, 8), noise_offset=0.1,
            timestep_weights=EVEN,
        )

    a, b = draw(0, 17), draw(0, 17)
    assert (a.image, a.crop, a.timestep) == (b.image, b.crop, b.timestep)
    assert torch.equal(a.noise, b.noise)
    assert not torch.equal(a.noise, draw(0, 18).noise)
    assert not torch.equal(a.noise, draw(1, 17).noise)
    times = torch.tensor([draw(0, p).timestep for p in range(400)]).float()
    assert times.min() >= 0 and times.max() <= 999
    assert abs(times.mean() - 499.5) < 4 * 288.7 / 20  # four standard errors


def test_timesteps_come_in_proportion_to_their_weights():
    weights = torch.tensor([0.0, 1.0, 2.0, 5.0])
    draw = partial(draw_sample, 0, images=1, crops=1, shape=(1, 1, 1), noise_offset=0.0)
    drawn = torch.tensor([draw(p, timestep_weights=weights).timestep for p in range(1600)])
    share = weights / weights.sum()
    error = (share * (1 - share) / 1600).sqrt()
    assert ((drawn.bincount(minlength=4) / 1600 - share).abs() <= 4 * error).all()


def test_noise_offset_adds_a_constant_per_channel():
    def noise(offset: float):
        return draw_sample(
            0, 3, images=1, crops=1, shape=(4, 64, 64), noise_offset=offset, timestep_weights=EVEN
        ).noise

    shift = noise(0.5) - noise(0.0)
    assert torch.allclose(shift, shift[:, :1, :1].expand_as(shift), atol=1e-6)
    assert shift[:, 0, 0].unique().numel() == 4
    assert abs(noise(0.0).std() - 1) < 0.03


def test_captions():
    assert (kind_of("girl"), kind_of("Cat"), kind_of("mug")) == ("person", "animal", "thing")
    for word in ("girl", "cat", "mug"):
        templates = caption_templates(word)
        assert len(set(templates)) == len(templates) >= 8
        assert all(template.count("<concept>") == 1 for template in templates)
    assert fill("a <concept>, a {class_word}", "<x-1> <x-2>", "cat") == "a <x-1> <x-2>, a cat"
    drawn = [template_at(0, step, caption_templates("cat")) for step in range(200)]
    assert set(drawn) == set(caption_templates("cat"))
    assert drawn == [template_at(0, step, caption_templates("cat")) for step in range(200)]
