"""Names in any script on paper."""

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFont, features

from smalti.studio.press import lettering
from smalti.studio.press.lettering import font_file, font_for, readable
from smalti.studio.press.paper import Paper

NAMES = ["Zoë Łukasz", "Дмитрий", "Ελένη", "王小明", "محمد علي", "राम कुमार", "김철수", "สมชาย"]


def drawn(words: str, font: ImageFont.FreeTypeFont) -> np.ndarray:
    image = Image.new("L", (400, 60))
    ImageDraw.Draw(image).text((5, 5), words, 255, font)
    return np.asarray(image)


@pytest.fixture
def no_fonts(monkeypatch):
    lettering._file_with.cache_clear()
    monkeypatch.setattr(lettering, "font_files", tuple)
    yield
    lettering._file_with.cache_clear()


@pytest.mark.parametrize("name", NAMES)
def test_every_letter_of_what_is_written_shows(name):
    """No letter looks as one that the font has not."""
    pytest.importorskip("anyascii")
    words = readable(name)
    font = font_for(words, 30)
    missing = drawn("\U0010ffff", font)
    for letter in set(words) - set(" \u0e31\u0e34"):
        assert drawn(letter, font).any() and not np.array_equal(drawn(letter, font), missing)


@pytest.mark.parametrize("name", NAMES)
def test_without_a_font_names_are_in_latin_letters(name, no_fonts):
    pytest.importorskip("anyascii")
    words = readable(name)
    assert words.isascii() and words.strip() and font_file(words) == ""


def test_plain_words_need_no_other_font(no_fonts):
    assert readable("O'Neil & Sons, 12") == "O'Neil & Sons, 12"


def test_letters_that_join_need_a_layout_engine(monkeypatch):
    monkeypatch.setattr(features, "check", lambda name: False)
    assert font_file("محمد") is None


def test_plain_fonts_come_before_styled_ones():
    from pathlib import Path

    names = ["NotoSans-Bold.ttf", "NotoSans-Regular.ttf", "NotoSerif-Italic.ttf", "Comic.ttf"]
    found = sorted((Path(name) for name in names), key=lettering._plainness)
    assert [path.name for path in found][0] == "NotoSans-Regular.ttf"


def test_what_is_no_font_is_passed_over(tmp_path):
    (tmp_path / "a.ttf").write_bytes(b"no font")
    assert not lettering._has(str(tmp_path / "a.ttf"), "a")


def test_a_page_shows_them():
    pytest.importorskip("anyascii")
    blank = Paper()
    blank.text("王小明", 10, 10)
    assert (np.asarray(blank.image) < 128).any()
