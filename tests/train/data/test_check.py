"""The check of a concept folder: good samples pass, each way of spoiling one is found."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageEnhance, ImageFilter
from refusals import refused

from smalti.configs.base import BaseSettings
from smalti.train.data.check import Checked, SetCheck, check_folder
from smalti.train.data.findings import BAD, WARN
from smalti.train.data.looks import laplacian, measure
from smalti.train.data.sheet import table_of, write_sheet

SAMPLES = Path(__file__).parents[3] / "concepts"
SIDE = 256


def checked(folder: Path, resolution: int = 128) -> dict[str, Checked]:
    base = BaseSettings(name="none", source="none/none", resolution=resolution)
    return {photo.path.name: photo for photo in check_folder(folder, base).photos}


def texts(photo: Checked, level: str = BAD) -> str:
    return "; ".join(finding.text for finding in photo.findings if finding.level == level)


@pytest.mark.parametrize("name", ["bolt", "eileen", "pim", "sylvie"])
def test_sample_concepts_have_no_fault(name):
    found = check_folder(SAMPLES / name, BaseSettings())
    assert not found.is_bad and len(found.photos) == 15
    assert sum(photo.level == WARN for photo in found.photos) <= 2


def spoil_blur(photo, mask):
    return photo.filter(ImageFilter.GaussianBlur(3)), mask


def spoil_dark(photo, mask):
    return ImageEnhance.Brightness(photo).enhance(0.12), mask


def spoil_light(photo, mask):
    return ImageEnhance.Brightness(photo).enhance(6), mask


def spoil_small(photo, mask):
    return photo.resize((48, 48)), mask.resize((48, 48))


def spoil_cut(photo, mask):
    box = (110, 90, SIDE, 236)
    return photo.crop(box).resize((SIDE, SIDE)), mask.crop(box).resize((SIDE, SIDE))


def spoil_empty(photo, mask):
    return photo, Image.new("L", photo.size, 0)


def spoil_full(photo, mask):
    return photo, Image.new("L", photo.size, 255)


def spoil_inverted(photo, mask):
    return photo, mask.point([255 - value for value in range(256)])


def spoil_size(photo, mask):
    return photo, mask.resize((100, 90))


SPOILED = {
    "blurred": spoil_blur, "dark": spoil_dark, "plain white": spoil_light, "too small": spoil_small,
    "cut off": spoil_cut, "empty": spoil_empty, "covers all": spoil_full,
    "inverted": spoil_inverted, "100 x 90": spoil_size,
}  # fmt: skip


def copies(folder: Path, name: str, count: int) -> list[Path]:
    """Some photos of a sample concept with their masks."""
    folder.mkdir(exist_ok=True)
    found = sorted((SAMPLES / name).glob("*.jpg"))[:count]
    for path in found:
        for suffix in (".jpg", ".mask.png"):
            source = path.with_name(path.stem + suffix)
            (folder / source.name).write_bytes(source.read_bytes())
    return [folder / path.name for path in found]


@pytest.mark.parametrize("name", ["eileen", "bolt"])
def test_every_way_of_spoiling_a_photo_is_a_fault(tmp_path, name):
    photos = copies(tmp_path, name, len(SPOILED) + 3)
    for path, spoil in zip(photos, SPOILED.values(), strict=False):
        beside = path.with_name(f"{path.stem}.mask.png")
        with Image.open(path) as photo, Image.open(beside) as mask:
            spoiled, its_mask = spoil(photo.convert("RGB"), mask.convert("L"))
        spoiled.save(path, quality=95)
        its_mask.save(beside)
    found = checked(tmp_path)
    for path, what in zip(photos, SPOILED, strict=False):
        assert what in texts(found[path.name]), path
    for path in photos[len(SPOILED) :]:
        assert not texts(found[path.name])


def test_near_duplicates_are_found_and_others_are_not(tmp_path):
    photos = copies(tmp_path, "sylvie", 6)
    with Image.open(photos[2]) as photo:
        near = photo.crop((3, 2, 252, 253)).resize(photo.size)
        near.save(tmp_path / "z.jpg", quality=70)
    found = checked(tmp_path)
    assert photos[2].name in texts(found["z.jpg"])
    assert not any(photo.level == BAD for name, photo in found.items() if name != "z.jpg")


def test_a_subject_framed_otherwise_is_a_warning(tmp_path):
    photos = copies(tmp_path, "eileen", 5)
    for path in (photos[4], photos[4].with_name(f"{photos[4].stem}.mask.png")):
        with Image.open(path) as image:
            canvas = Image.new(image.mode, image.size)
            canvas.paste(image.resize((80, 80)), (150, 150))
            canvas.save(path)
    assert "framed otherwise" in texts(checked(tmp_path)[photos[4].name], WARN)


def test_captions_are_counted_by_the_bases_tokenizer(tmp_path, tiny_settings):
    """Every word of the tiny tokenizer is one token; begin, end and the concept's two take four."""
    photos = copies(tmp_path, "pim", 4)
    photos[0].with_suffix(".txt").write_text("<concept>" + " cat" * 73)
    photos[1].with_suffix(".txt").write_text("<concept>" + " cat" * 74)
    photos[2].with_suffix(".txt").write_text("a cat")
    found = {p.path.name: p for p in check_folder(tmp_path, tiny_settings).photos}
    assert not found[photos[0].name].findings
    assert "78" in texts(found[photos[1].name])
    assert "<concept>" in texts(found[photos[2].name], WARN)


def test_files_that_cannot_be_read_and_strays_are_faults(tmp_path):
    photos = copies(tmp_path, "pim", 3)
    photos[0].write_bytes(b"no picture")
    (tmp_path / "gone.mask.png").write_bytes(photos[1].read_bytes())
    base = BaseSettings(name="none", source="none/none")
    found = check_folder(tmp_path, base)
    assert found.photos[0].level == BAD and found.is_bad
    assert "gone.mask.png" in " ".join(finding.text for finding in found.findings)
    with refused(str(tmp_path / "none")):
        check_folder(tmp_path / "none", base)


def test_the_sheet_has_a_cell_for_each_photo_and_is_no_photo_itself(tmp_path):
    copies(tmp_path, "pim", 3)
    base = BaseSettings(name="none", source="none/none")
    found = check_folder(tmp_path, base)
    sheet = tmp_path / "check-sheet.png"
    write_sheet(found, sheet)
    with Image.open(sheet) as image:
        assert len(np.unique(np.asarray(image.convert("L")))) > 50
    assert [row[0][0] for row in table_of(found)][1:4] == [p.path.name for p in found.photos]
    assert len(check_folder(tmp_path, base).photos) == 3


def test_a_set_of_nothing_but_sound_photos_is_not_bad():
    assert not SetCheck([]).is_bad


def test_the_laplacian_of_a_parabola_is_its_second_derivative():
    row = np.arange(8, dtype=np.float32) ** 2
    found = laplacian(np.tile(row, (6, 1)))
    assert np.allclose(found[:, 1:-1], 2)


def test_sharpness_does_not_depend_on_brightness():
    noise = np.random.default_rng(0).integers(60, 200, (64, 64), dtype=np.uint8)
    photo = Image.fromarray(noise).resize((256, 256)).convert("RGB")
    dim = Image.fromarray((np.asarray(photo) * 0.5).astype(np.uint8))
    assert measure(dim, None).sharpness == pytest.approx(measure(photo, None).sharpness, rel=0.05)
