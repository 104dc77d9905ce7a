"""Concept folders: what is read, what is refused, what is only mentioned."""

import unicodedata
from pathlib import Path

import numpy as np
import pillow_heif
import pytest
from PIL import Image

from smalti.configs.errors import InputError
from smalti.models import photos
from smalti.models.words import concept_key
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
    refused(tmp_path / "empty", "empty", "15")


@pytest.mark.parametrize(
    "name", ["Фото кружки", "cup (1)", "cup[1]", "10_sks cup", "☕", "a\nb", "Müller"]
)
def test_any_folder_may_be_a_concept(folder: Path, name: str):
    concept = load_concept(folder.rename(folder.with_name(name)))
    assert concept.name == concept_key(name) and len(concept.images) == 8


def test_a_name_that_is_no_text_is_refused_of_folders_and_serves_for_photos(folder: Path):
    picture(folder / "caf\udce9.png")
    assert len(load_concept(folder).images) == 9
    refused(folder.rename(folder.with_name("caf\udce9")), ascii("caf\udce9")[1:-1])


def test_a_folder_of_folders_says_which_one_holds_images(folder: Path):
    refused(folder.parent, "no images", folder.name)


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
    (folder / "page.jpg").write_text("<!doctype html><title>404</title>")
    (folder / "empty.png").touch()
    for litter in ("._p1.jpg", ".DS_Store", "Thumbs.db", "desktop.ini"):
        (folder / litter).write_bytes(b"\0\0")
    concept = load_concept(folder)
    assert len(concept.images) == 8
    said = "\n".join(concept.warnings)
    for name, reason in [
        ("text.jpg", "not an image"),
        ("cut.jpg", "truncated"),
        ("small.png", "63x200"),
        ("moving.gif", "animated"),
        ("phone.heic", "JPEG or PNG"),
        ("page.jpg", "not an image"),
        ("empty.png", "not an image"),
    ]:
        assert any(name in line and reason in line for line in concept.warnings), (name, said)
    assert len([line for line in concept.warnings if "left out" in line]) == 7


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


def test_a_phones_own_format_serves(folder: Path):
    pillow_heif.register_heif_opener()
    picture(folder / "phone.heic")
    concept = load_concept(folder, "mug")
    assert concept.warnings == () and len(concept.images) == 9


OTHERS_MASKS = [
    "p0.mask.jpg",
    "p0.MASK.PNG",
    "p0-masklabel.png",
    "p0_mask.png",
    "masks/p0.png",
    "Mask/p0_mask.png",
]


@pytest.mark.parametrize("name", OTHERS_MASKS)
def test_masks_of_other_trainers_are_masks_and_no_photos(folder: Path, name: str):
    (folder / name).parent.mkdir(exist_ok=True)
    Image.new("L", (80, 96), 255).save(folder / name)
    concept = load_concept(folder, "mug")
    assert len(concept.images) == 8 and concept.images[0].mask == folder.resolve() / name
    usual = name.endswith("MASK.PNG")
    assert len(concept.warnings) == (0 if usual else 1)
    assert usual or Path(name).name in concept.warnings[0]


def test_one_of_two_masks_must_go(folder: Path):
    for name in ("p0.mask.png", "p0_mask.png"):
        Image.new("L", (80, 96), 255).save(folder / name)
    refused(folder, "p0.mask.png", "p0_mask.png")


def test_a_photo_of_a_mask_is_a_photo(folder: Path):
    picture(folder / "venice_mask.png")
    concept = load_concept(folder, "mug")
    assert concept.images[-1].path.name == "venice_mask.png" and not concept.warnings


def test_two_images_of_one_caption_are_told(folder: Path):
    picture(folder / "p0.jpg")
    assert not load_concept(folder, "mug").warnings
    (folder / "p0.txt").write_text("<concept> on a table")
    concept = load_concept(folder, "mug")
    assert [item.caption for item in concept.images[:2]] == ["<concept> on a table"] * 2
    assert all(name in concept.warnings[0] for name in ("p0.jpg", "p0.png", "p0.txt"))


@pytest.mark.parametrize("forms", [("NFC", "NFD"), ("NFD", "NFC")])
def test_both_spellings_of_an_accent_are_one_name(folder: Path, forms: tuple[str, str]):
    photo, beside = (unicodedata.normalize(form, "Müller") for form in forms)
    assert photo != beside
    picture(folder / f"{photo}.jpg")
    (folder / f"{beside}.txt").write_text("<concept> on a table")
    Image.new("L", (80, 96), 255).save(folder / f"{beside}.mask.png")
    item = next(i for i in load_concept(folder, "mug").images if i.path.stem == photo)
    assert item.caption == "<concept> on a table" and item.mask.name == f"{beside}.mask.png"


@pytest.mark.parametrize(("name", "kind"), [("p9.txt", "caption"), ("p9.mask.png", "mask")])
def test_captions_and_masks_without_image(folder: Path, name: str, kind: str):
    (folder / name).write_bytes(b"x")
    refused(folder, kind, name, "no image")


def test_masks_must_fit_be_readable_and_mark_something(folder: Path):
    Image.new("L", (40, 48), 255).save(folder / "p1.mask.png")
    refused(folder, "p1.mask.png", "40x48", "80x96")
    (folder / "p1.mask.png").write_bytes(b"x")
    refused(folder, "p1.mask.png", "PNG")
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


def test_a_turned_mask_belongs_to_a_turned_image(folder: Path):
    tags = Image.Exif()
    tags[0x0112] = 6
    picture(folder / "p1.jpg", (80, 120), exif=tags)
    Image.new("L", (80, 120), 255).save(folder / "p1.mask.png", exif=tags)
    image, mask = open_image(load_concept(folder).images[1])
    assert image.size == mask.size == (120, 80)


def test_a_huge_image_and_its_mask_are_read_in_one_size(folder: Path, monkeypatch):
    picture(folder / "p1.jpg", (301, 203))
    Image.new("L", (301, 203), 255).save(folder / "p1.mask.png")
    monkeypatch.setattr(photos, "FULL_PIXELS", 10_000)
    image, mask = open_image(load_concept(folder).images[1])
    assert image.size == mask.size == (76, 51)


def test_an_image_may_have_no_mask(folder: Path):
    image, mask = open_image(load_concept(folder).images[0])
    assert image.size == (80, 96) and mask is None
