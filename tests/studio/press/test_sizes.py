"""Sizes that users write, and the grid that suits a print."""

from pathlib import Path

import pytest
from PIL import Image
from refusals import refused

from smalti.configs.mosaic import mosaic_settings
from smalti.configs.presets import preset_names
from smalti.configs.product import load_product
from smalti.configs.settings import Settings
from smalti.studio.press.sizes import Layout, choose_grid, chosen_product, layout_for, sized, turned


@pytest.mark.parametrize(
    ("text", "mm"),
    [("60x40cm", (600, 400)), ("24x16in", (609.6, 406.4)), (" 100 X 150.5 mm", (100, 150.5)),
     ("2.4×1.6m", (2400, 1600))],
)  # fmt: skip
def test_sizes_in_every_unit(text, mm):
    product = sized(text)
    assert (product.width, product.height) == pytest.approx(mm)
    assert chosen_product(text) == product


@pytest.mark.parametrize(
    "text", ["60x40", "60x40ft", "60cm", "0x4cm", "1.2.3x4cm", "", "x", "-6x4cm"]
)
def test_what_is_no_size_is_refused(text):
    with refused():
        sized(text)


def test_a_print_of_60_cm_has_46_starter_tiles_a_side():
    layout = choose_grid(sized("60x60cm"), 128)
    assert (layout.rows, layout.cols) == (46, 46)
    assert layout.tile_mm == pytest.approx(600 / 46)
    assert layout.native_dpi == pytest.approx(128 * 46 / (600 / 25.4))
    assert layout.enlargement == pytest.approx(300 / layout.native_dpi)


@pytest.mark.parametrize("tile", [128, 512, 768])
@pytest.mark.parametrize("name", [*preset_names("product"), "60x40cm", "13x13mm", "3x3mm"])
def test_tiles_are_large_enough_as_few_as_needed_and_fit(name, tile):
    product = chosen_product(name)
    layout = choose_grid(product, tile)
    longest = max(product.width, product.height)
    count = max(layout.rows, layout.cols)
    assert layout.tile_mm >= 13 or count == 1
    needed = longest / 25.4 * product.dpi / tile
    assert count <= max(1, -(-needed // 1) * 1.15 + 1), "no more than needed, and a little"
    # As fine as needed, unless tiles of 13 mm forbid it.
    assert count >= min(needed, longest // 13 / 1.15 - 1)
    assert layout.cut_mm <= layout.tile_mm / 4 + 1e-9 or min(layout.rows, layout.cols) < 4


def test_products_are_turned_as_the_photo_is(tmp_path: Path):
    across, upright = tmp_path / "across.jpg", tmp_path / "upright.jpg"
    Image.new("RGB", (90, 70)).save(across)
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was held upright
    Image.new("RGB", (90, 70)).save(upright, exif=exif)

    def layout(photo: Path | str, text: str) -> Layout:
        return layout_for(text, Settings(mosaic=mosaic_settings(ref=str(photo))))

    assert layout(across, "a4").cols > layout(across, "a4").rows
    assert layout(upright, "a4").cols < layout(upright, "a4").rows
    assert layout("nowhere.jpg", "a4").cols < layout("nowhere.jpg", "a4").rows, "as it is written"
    assert layout(across, "40x60cm").cols < layout(across, "40x60cm").rows, "a size is a size"
    a4 = load_product("a4")
    assert turned(turned(a4, 1, 2), 2, 1) == a4 == turned(a4, 1, 1)


def test_what_a_customer_would_complain_of_is_said_with_a_grid_that_would_do():
    few = Layout(6, 6, 128, sized("60x60cm"))
    assert any("46x46" in line for line in few.warnings())
    many = Layout(64, 64, 128, sized("40x40cm"))
    assert any("30x30" in line for line in many.warnings())
    square = Layout(45, 45, 128, sized("60x40cm"))
    assert any("30x45" in line for line in square.warnings())
    assert not choose_grid(sized("60x60cm"), 128).warnings()
    assert "249 dpi" in choose_grid(sized("60x60cm"), 128).sentence()
