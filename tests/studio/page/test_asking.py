"""What a form asks for is what its command does."""

from unittest.mock import create_autospec

import pytest
from refusals import refused
from typer.testing import CliRunner

from smalti.cli import gen
from smalti.studio.page.asking import read_form
from smalti.studio.page.desk import Desk, file_name, new_name

PHOTO = {"photo": "a & b.jpg"}
FORMS = [
    ({"tile_prompt": "a cat\n a  dog \n", "ref_prompt": "a castle", "picture_by": "drawn"}, ()),
    ({**PHOTO, "picture_by": "photo", "crop": "0.500,0.250", "pull": "0.3"}, ("mug",)),
    ({**PHOTO, "size_by": "size", "size": "60x40cm", "preset": "fine"}, ("mug", "pim")),
    ({**PHOTO, "size_by": "product", "product": "a4", "seed": "7"}, ("mug",)),
    ({**PHOTO, "grid": "3x5", "base": "sd21", "tile_prompt": "it's <concept>"}, ("a b",)),
]


@pytest.mark.parametrize(("fields", "concepts"), FORMS)
def test_a_form_is_what_its_command_does(tmp_path, monkeypatch, fields, concepts):
    from PIL import Image

    desk = Desk(tmp_path, tmp_path / "m", tmp_path, overrides=("mosaic.steps=3",))
    desk.uploads.mkdir(parents=True)
    Image.new("RGB", (90, 60)).save(desk.uploads / "a & b.jpg")
    shown = create_autospec(gen.show_plan)
    monkeypatch.setattr(gen, "show_plan", shown)
    asked = read_form(fields, {"tile_lora": concepts}, desk)
    done = CliRunner().invoke(gen.app, [*asked.words()[1:], "--dry-run"])
    assert done.exit_code == 0, done.output
    assert shown.call_args.args[0] == asked.settings()
    assert asked.settings().mosaic.sampler.steps == 3


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
