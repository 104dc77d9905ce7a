"""Concept folders: what is read, what is refused, what is only mentioned."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from smalti.configs.errors import InputError
from smalti.train.concept import load_concept, open_image


def picture(path: Path, size: tuple[int, int] = (80, 96), color: str = "red", **options) -> Path:
    Image.new("RGB", size, color).save(path, **options)
    return path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder of eight good images."""
    folder = tmp_path / "Mug"
    folder.mkdir()
    for i in range(8):
        picture(folder / f"p{i}.{'jpg' if i % 2 else 'png'}")
    return folder


def refused(folder: Path, *parts: str) -> None:
    with pytest.raises(InputError) as caught:
        load_concept(folder)
    for part in parts:
        assert part in str(caught.value)
    assert caught.value.exit_code == 2
    assert "\n" not in str(caught.value)


def test_a_good_folder(folder: Path):
    (folder / "p0.txt").write_text("a <concept> on a table\nsecond line\n")
    Image.new("L", (80, 96), 255).save(folder / "p1.mask.png")
    (folder / "concept.toml").write_text('class_word = "mug"\n')
    (folder / "README.txt").write_text("about these")
    (folder / "validation.png").write_bytes(b"our own output, not an image of the concept")
    concept = load_concept(folder)
    assert (concept.name, concept.class_word, concept.warnings) == ("mug", "mug", ())
    assert [item.path.stem for item in concept.images] == [f"p{i}" for i in range(8)]
    assert concept.images[0].caption == "a <concept> on a table"
    assert concept.images[0].mask is None and concept.images[1].caption is None
    assert concept.images[1].mask == folder.resolve() / "p1.mask.png"


def test_class_word_comes_from_the_argument_the_file_or_is_thing(folder: Path):
    assert load_concept(folder).class_word == "thing"
    (folder / "concept.toml").write_text('[train]\nclass_word = "cup"\n')
    assert load_concept(folder).class_word == "cup"
    assert load_concept(folder, "mug").class_word == "mug"
    (folder / "concept.toml").write_text("class_word = \n")
    refused(folder, "concept.toml", "TOML")


def test_missing_folder_file_and_empty_folder(tmp_path: Path):
    refused(tmp_path / "nothing", "nothing", "does not exist")
    refused(picture(tmp_path / "a.png"), "is a file")
    (tmp_path / "empty").mkdir()
    refused(tmp_path / "empty", "no images", "15")


def test_folder_names_must_be_usable_as_concept_names(tmp_path: Path):
    (tmp_path / "my cup!").mkdir()
    refused(tmp_path / "my cup!", "my cup!", "Rename")


def test_bad_images_are_named_and_the_rest_goes_on(folder: Path):
    (folder / "text.jpg").write_text("no image")
    noise = np.random.default_rng(0).integers(0, 255, (400, 400, 3), dtype=np.uint8)
    Image.fromarray(noise).save(folder / "cut.jpg")
    whole = (folder / "cut.jpg").read_bytes()
    (folder / "cut.jpg").write_bytes(whole[: len(whole) // 2])
    picture(folder / "small.png", (63, 200))
    frames = [Image.new("RGB", (80, 80), color) for color in ("red", "blue")]
    frames[0].save(folder / "moving.gif", save_all=True, append_images=frames[1:])
    (folder / "phone.heic").write_bytes(b"\x00\x00\x00\x18ftypheic")
    concept = load_concept(folder)
    assert len(concept.images) == 8
    said = "\n".join(concept.warnings)
    for name, reason in [
        ("text.jpg", "not an image"),
        ("cut.jpg", "truncated"),
        ("small.png", "63x200"),
        ("moving.gif", "animated"),
        ("phone.heic", "JPEG or PNG"),
    ]:
        assert any(name in line and reason in line for line in concept.warnings), (name, said)


def test_phone_jpegs_with_a_second_picture_are_not_animated(folder: Path):
    first, second = Image.new("RGB", (80, 80), "red"), Image.new("RGB", (40, 40), "blue")
    first.save(folder / "mpo.jpg", format="MPO", save_all=True, append_images=[second])
    concept = load_concept(folder, "mug")
    assert concept.warnings == () and len(concept.images) == 9


def test_too_few_images(folder: Path):
    for i in range(5):
        next(folder.glob(f"p{i}.*")).unlink()
    concept = load_concept(folder)
    assert len(concept.images) == 3 and "Only 3 images" in concept.warnings[0]
    (folder / "p5.jpg").write_bytes(b"broken")
    refused(folder, "2 usable images", "at least 3", "p5.jpg")


def test_a_concept_without_class_word_is_a_thing_and_says_so(folder: Path):
    (folder / "concept.toml").unlink(missing_ok=True)
    concept = load_concept(folder)
    assert concept.class_word == "thing" and "--class-word" in concept.warnings[-1]
    assert not load_concept(folder, "mug").warnings


@pytest.mark.parametrize("name", ["p0.mask.jpg", "p0.MASK.PNG"])
def test_a_mask_under_another_name_is_no_photo(folder: Path, name: str):
    Image.new("L", (80, 80), 255).save(folder / name)
    refused(folder, name, "save it as p0.mask.png")


@pytest.mark.parametrize(("name", "kind"), [("p9.txt", "caption"), ("p9.mask.png", "mask")])
def test_captions_and_masks_without_image(folder: Path, name: str, kind: str):
    (folder / name).write_bytes(b"x")
    refused(folder, kind, name, "no image")


def test_masks_must_fit_be_readable_and_mark_something(folder: Path):
    Image.new("L", (40, 48), 255).save(folder / "p1.mask.png")
    refused(folder, "p1.mask.png", "40x48", "80x96")
    (folder / "p1.mask.png").write_bytes(b"x")
    refused(folder, "p1.mask.png", "cannot be read")
    Image.new("L", (80, 96), 0).save(folder / "p1.mask.png")
    refused(folder, "p1.mask.png", "all black")


def test_captions_without_placeholder_empty_or_not_text(folder: Path):
    (folder / "p0.txt").write_text("red, on a table")
    (folder / "p1.txt").write_text("  \n")
    concept = load_concept(folder)
    assert concept.images[0].caption == "<concept>, red, on a table"
    assert concept.images[1].caption is None
    assert "p0.txt" in concept.warnings[0] and "p1.txt" in concept.warnings[1]
    (folder / "p2.txt").write_bytes(b"\xff\xfe\x00broken")
    refused(folder, "p2.txt", "UTF-8")


def test_a_caption_may_end_in_capitals(folder: Path):
    for number, suffix in enumerate(("TXT", "Txt")):
        (folder / f"p{number}.{suffix}").write_text("<concept> on a table")
        assert load_concept(folder).images[number].caption == "<concept> on a table"


def test_orientation_is_honoured_for_images_and_mask_sizes(folder: Path):
    tags = Image.Exif()
    tags[0x0112] = 6  # rotate by 90 degrees to display
    pixels = np.zeros((80, 120, 3), np.uint8)
    pixels[:, :60] = 255  # left half white; upright, the top half is
    Image.fromarray(pixels).save(folder / "p1.jpg", exif=tags, quality=95)
    Image.new("L", (80, 120), 255).save(folder / "p1.mask.png")
    image, mask = open_image(load_concept(folder).images[1])
    upright = np.asarray(image)
    assert upright.shape == (120, 80, 3)
    assert upright[:50].min() > 200 and upright[70:].max() < 50
    assert mask.size == (80, 120)


def test_an_image_may_have_no_mask(folder: Path):
    image, mask = open_image(load_concept(folder).images[0])
    assert image.size == (80, 96) and mask is None
