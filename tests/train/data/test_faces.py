"""Several faces in a photo: a warning where OpenCV is, and nothing where it is not."""

import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw
from typer.testing import CliRunner

from smalti.cli import data
from smalti.configs.base import BaseSettings
from smalti.train.data.check import check_folder
from smalti.train.data.faces import count_faces, open_finder
from smalti.train.data.findings import WARN

SAMPLES = Path(__file__).parents[3] / "concepts"


@pytest.fixture(scope="module")
def portrait() -> Image.Image:
    return Image.fromarray(pytest.importorskip("skimage.data").astronaut())


def side_by_side(left: Image.Image, right: Image.Image) -> Image.Image:
    both = Image.new("RGB", (left.width + right.width, max(left.height, right.height)), "gray")
    both.paste(left, (0, 0))
    both.paste(right, (left.width, 0))
    return both


def said(folder: Path) -> dict[str, list[str]]:
    """Warnings about faces by the photo's name."""
    photos = check_folder(folder, BaseSettings(name="none", source="none/none")).photos
    return {
        p.path.stem: [f.text for f in p.findings if f.level == WARN and "faces" in f.text]
        for p in photos
    }


def test_two_people_are_told_and_one_or_a_drawing_is_not(portrait, tmp_path):
    pytest.importorskip("cv2")
    both = side_by_side(portrait, portrait)
    both.save(tmp_path / "both.png")
    both.resize((2048, 1024)).save(tmp_path / "large.jpg")
    portrait.save(tmp_path / "one.png")
    for name in ("left", "whole"):  # a mask says who is meant
        both.save(tmp_path / f"{name}.png")
        mask = Image.new("L", both.size, 255 * (name == "whole"))
        ImageDraw.Draw(mask).rectangle((0, 0, 511, 511), fill=255)
        mask.save(tmp_path / f"{name}.mask.png")
    side_by_side(portrait, portrait.resize((170, 170))).save(tmp_path / "behind.png")
    with Image.open(SAMPLES / "pim" / "pim_01.jpg") as drawing:
        drawing.save(tmp_path / "drawing.png")
    found = said(tmp_path)
    assert {name for name, texts in found.items() if texts} == {"both", "large", "whole"}
    assert all("2" in text for texts in found.values() for text in texts)


def test_a_face_is_where_the_pasted_one_is(portrait):
    pytest.importorskip("cv2")
    find, (one,) = open_finder(), open_finder()(portrait)
    wide = Image.new("RGB", (1500, 1200), "gray")
    wide.paste(portrait.resize((1024, 1024)), (400, 100))
    (found,) = find(wide)
    wanted = np.array(one) * 2 + (400, 100, 0, 0)
    assert np.abs(np.array(found) - wanted).max() < 25


def test_small_faces_do_not_count_beside_a_large_one():
    boxes = [(0, 0, 100, 100), (200, 0, 50, 50), (300, 0, 49, 49)]
    assert (count_faces(boxes), count_faces(boxes[:1]), count_faces([])) == (2, 1, 0)
    mask = Image.new("L", (400, 100))
    mask.paste(255, (200, 0, 400, 100))
    assert count_faces(boxes, mask) == 2


def test_without_opencv_or_with_one_that_has_no_cascades_nothing_is_said(monkeypatch):
    for missing in (None, type(sys)("cv2")):
        monkeypatch.setitem(sys.modules, "cv2", missing)
        assert open_finder() is None


def test_the_command_says_what_to_install(monkeypatch, tmp_path):
    Image.new("RGB", (64, 64)).save(tmp_path / "a.png")
    monkeypatch.setitem(sys.modules, "cv2", None)
    done = CliRunner().invoke(data.app, ["check", str(tmp_path)])
    assert "smalti[faces]" in done.output
