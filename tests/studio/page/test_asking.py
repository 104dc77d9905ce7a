"""What a form asks for is what its command does."""

from unittest.mock import create_autospec

import pytest
from refusals import refused
from typer.testing import CliRunner

from smalti.cli import gen
from smalti.studio.page.asking import read_form
from smalti.studio.page.desk import Desk, Missing, file_name, new_name

PHOTO = {"photo": "a & b.jpg"}
MUG = {"tile_lora": ["mug"]}
FILES = {"tile_file": ["cat.safetensors", "dog.safetensors"]}
FORMS = [
    ({"tile_prompt": "a cat\n a  dog \n", "ref_prompt": "a castle", "picture_by": "drawn"}, {}),
    ({**PHOTO, "picture_by": "photo", "crop": "0.500,0.250", "pull": "0.3"}, MUG),
    ({**PHOTO, "size_by": "size", "size": "60x40cm", "preset": "fine"},
     {"tile_lora": ["mug", "pim"]}),
    ({**PHOTO, "size_by": "product", "product": "a4", "seed": "7"}, MUG),
    ({**PHOTO, "grid": "3x5", "base": "sd21", "tile_prompt": "it's <concept>"},
     {"tile_lora": ["a b"]}),
    (PHOTO, {**MUG, **FILES, "tile_trigger": ["sks  cat", "it's a dog"]}),
    (PHOTO, {**FILES, "tile_trigger": ["", "a dog"]}),
]  # fmt: skip


@pytest.mark.parametrize(("fields", "many"), FORMS)
def test_a_form_is_what_its_command_does(tmp_path, monkeypatch, fields, many):
    from PIL import Image

    desk = Desk(tmp_path, tmp_path / "m", tmp_path, overrides=("mosaic.steps=3",))
    desk.uploads.mkdir(parents=True)
    Image.new("RGB", (90, 60)).save(desk.uploads / "a & b.jpg")
    shown = create_autospec(gen.show_plan)
    monkeypatch.setattr(gen, "show_plan", shown)
    for name in ("cat.safetensors", "dog.safetensors"):
        (desk.uploads / name).touch()
    asked = read_form(fields, many, desk)
    done = CliRunner().invoke(gen.app, [*asked.words()[1:], "--dry-run"])
    assert done.exit_code == 0, done.output
    assert shown.call_args.args[0] == asked.settings()
    assert asked.settings().mosaic.sampler.steps == 3


def test_words_of_files_stand_in_the_files_order(tmp_path):
    """An empty field leaves it to the file, and the last need not be said."""
    desk = Desk(tmp_path, tmp_path / "m", tmp_path)
    desk.uploads.mkdir(parents=True)
    for name in FILES["tile_file"]:
        (desk.uploads / name).touch()

    def words(*given: str) -> tuple[str, ...]:
        options = read_form({}, {**MUG, **FILES, "tile_trigger": given}, desk).options
        assert options["tile_lora"] == ("mug", *(str(desk.uploads / n) for n in FILES["tile_file"]))
        return options.get("tile_trigger", ())

    assert words("", "dog") == ("", "dog") and words("cat", " ") == ("cat",) and words("") == ()
    with refused("a.safetensors", kind=Missing):
        read_form({}, {"tile_file": ["a.safetensors"]}, desk)


@pytest.mark.parametrize(
    "text", ["", "  ", "a/b", "..", "a\0", "con", "x" * 90, "<b>", "-", "a\nb"]
)
def test_names_of_folders(text):
    with refused("concept"):
        new_name(text, "concept")


def test_names_that_are_fine_stay_as_they_are():
    for text in ("harry", "Müller (2)", "写真 1", "a-b_c"):
        assert new_name(f" {text} ", "concept") == text


def test_two_files_of_one_name_are_two():
    assert file_name("A.jpg", {"a.JPG"}) == "A-2.jpg"
    assert file_name("b.heic", {"a.jpg"}) == "b.heic"
