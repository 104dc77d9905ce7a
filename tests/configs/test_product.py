"""Products: the shipped ones, a user's own file, and what is refused."""

import tomllib
from pathlib import Path

import pytest
from refusals import refused

from smalti.configs.presets import PRESETS, preset_names
from smalti.configs.product import ProductSettings, load_product, with_changes

NAMES = preset_names("product")


@pytest.mark.parametrize("name", NAMES)
def test_every_shipped_product_arrives_as_it_is_written(name):
    path = PRESETS / "product" / f"{name}.toml"
    text = path.read_text(encoding="utf-8")
    product = load_product(name)
    assert product.name == name and product.title
    assert {key: getattr(product, key) for key in tomllib.loads(text)} == tomllib.loads(text)
    assert "# Source: " in text, "where its sizes come from"


def test_about_ten_are_shipped_with_those_that_the_trade_sells_most():
    wanted = {"poster-30x40", "poster-50x70", "poster-60x90", "canvas-40x40", "canvas-60x60",
              "a4", "a3", "a2", "card-10x15", "mug-wrap", "puzzle-500"}  # fmt: skip
    assert wanted <= set(NAMES)


@pytest.mark.parametrize("header", ["", "[product]\n"])
def test_a_users_own_file_works_where_a_name_does(tmp_path: Path, header):
    path = tmp_path / "lab.toml"
    path.write_text(f"{header}width = 100\nheight = 150.5\npanels = '1x2'\n")
    product = load_product(str(path))
    assert (product.name, product.width, product.height) == ("lab", 100, 150.5)
    assert (product.panels, product.bleed) == ("1x2", ProductSettings().bleed)


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("width = 100", "height"),
        ("width = 100\nheight = 1\nblead = 3", "bleed"),
        ("width = 100\nheight = 'a'", "product.height"),
        ("width = 100\nheight = -1", "product.height"),
        ("width = 100\nheight = 1\nformat = 'gif'", "tiff"),
        ("width = 100\nheight = 1\nsection = 'x'", "section"),
        ("width", "TOML"),
    ],
)
def test_a_file_that_is_no_product_is_refused(tmp_path: Path, text, word):
    path = tmp_path / "lab.toml"
    path.write_text(text)
    with refused(word):
        load_product(str(path))


def test_an_unknown_product_is_refused_with_the_nearest_and_all_others():
    with refused("postr-30x40", '"poster-30x40"', *NAMES):
        load_product("postr-30x40")
    with refused("nowhere.toml"):
        load_product("nowhere.toml")


def test_changes_leave_the_rest_and_are_checked():
    product = with_changes(load_product("a4"), dpi=150, bleed=None)
    assert (product.dpi, product.bleed, product.width) == (150, 3, 210)
    with refused("product.dpi"):
        with_changes(product, dpi=1)
