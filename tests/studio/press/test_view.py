"""The page: its pyramid as files, and the page in a real browser without a network."""

import json
import shutil
import zipfile
from pathlib import Path

import numpy as np
import pytest
from made_mosaics import canvas_of, made_mosaic
from PIL import Image
from refusals import refused

from smalti.studio.press.finished import open_finished
from smalti.studio.press.provenance import read_xmp, verify
from smalti.studio.press.view import pack_view, page_data, redraw_command, write_view

pytest.importorskip("pyvips")
QUIET = {"progress": lambda *_: None}


@pytest.fixture(scope="module")
def wide(tmp_path_factory):
    """Large enough for several pieces."""
    return open_finished(made_mosaic(tmp_path_factory.mktemp("view") / "a 'wide' one", 9, 12, 96))


@pytest.fixture(scope="module")
def page(wide) -> Path:
    return write_view(wide, **QUIET)


def test_the_pyramid_is_the_mosaic_at_every_level(page, wide):
    canvas = canvas_of(wide.folder, 9, 12)
    high, wide_px = canvas.shape[:2]
    levels = sorted(int(p.name) for p in (page.parent / "mosaic_files").iterdir())
    assert levels == list(range(int(np.ceil(np.log2(max(high, wide_px)))) + 1))
    top = page.parent / "mosaic_files" / str(levels[-1])
    pieces = {p.stem for p in top.iterdir()}
    assert pieces == {f"{x}_{y}" for x in range(-(-wide_px // 510)) for y in range(-(-high // 510))}
    piece = np.asarray(Image.open(top / "1_1.jpg")).astype(int)
    wanted = canvas[509:1021, 509:1021]
    assert np.abs(piece - wanted[: piece.shape[0], : piece.shape[1]]).mean() < 4
    assert b"trainedAlgorithmicMedia" in read_xmp(top / "0_0.jpg")


def test_the_folder_is_all_that_the_page_needs(page):
    names = {path.name for path in page.parent.iterdir()}
    assert names == {
        "index.html", "style.css", "app.js", "data.js", "openseadragon.min.js",
        "openseadragon.LICENSE.txt", "reference.jpg", "mosaic_files",
    }  # fmt: skip
    assert not list(page.parent.rglob("*.xml")) and not list(page.parent.parent.glob(".*.tmp"))
    assert verify(page)[1] and verify(page.parent / "reference.jpg")[1]
    licence = (page.parent / "openseadragon.LICENSE.txt").read_text()
    assert "OpenSeadragon contributors" in licence and "Redistribution" in licence


def test_what_the_page_knows(wide, page):
    data = page_data(wide)
    text = (page.parent / "data.js").read_text()
    assert json.loads(text[text.index("{") : text.rindex("}") + 1]) == data
    subject, prompt, seed = data["tiles"][5 * 12 + 7]
    assert data["subjects"][subject] == "sylvie", "a name, no path of anybody's"
    assert data["prompts"][prompt] == "a <concept> & number 7" and seed == 5
    assert "'" in redraw_command(wide) and "--retile {tile}" in redraw_command(wide)


def test_a_photo_is_not_said_to_be_drawn(tmp_path):
    mosaic = open_finished(made_mosaic(tmp_path / "m", 2, 2, ref="me.jpg"))
    page = write_view(mosaic, **QUIET)
    assert read_xmp(page.parent / "reference.jpg") == b""
    assert b"compositeWithTrainedAlgorithmicMedia" in read_xmp(page)


def test_only_an_older_page_is_replaced(wide, page, tmp_path):
    old = shutil.copytree(page.parent, tmp_path / "old")
    (old / "left").write_text("")
    write_view(wide, old, **QUIET)
    assert not (old / "left").exists()
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "photo.jpg").write_text("")
    with refused("mine"):
        write_view(wide, mine, **QUIET)
    with refused("photo.jpg"):
        write_view(wide, mine / "photo.jpg", **QUIET)
    assert [p.name for p in mine.iterdir()] == ["photo.jpg"]


def test_a_packed_page_is_the_folder_as_it_is(page, tmp_path):
    folder, path = page.parent, pack_view(page.parent)
    assert path == folder.parent / "view.zip"
    with zipfile.ZipFile(path) as archive:
        assert {entry.compress_type for entry in archive.infolist()} == {zipfile.ZIP_STORED}
        archive.extractall(tmp_path)
    wanted, found = (
        {p.relative_to(root): p.read_bytes() for p in root.rglob("*") if p.is_file()}
        for root in (folder, tmp_path / "view")
    )
    assert found == wanted
    first = path.read_bytes()
    (folder / "index.html").touch()
    assert pack_view(folder).read_bytes() == first
    path.unlink()


def test_another_zip_is_not_replaced(page, tmp_path):
    folder = shutil.copytree(page.parent, tmp_path / "page")
    for name, data in (("page.zip", b"mine"), ("page.zip", b"PK\5\6" + bytes(18))):
        (tmp_path / name).write_bytes(data)
        with refused("page.zip"):
            pack_view(folder)
        assert (tmp_path / name).read_bytes() == data


# --- in a browser -----------------------------------------------------------------------------


READY = (
    "window.smaltiViewer && smaltiViewer.world.getItemCount() == 2"
    " && smaltiViewer.world.getItemAt(0).getFullyLoaded()"
)


@pytest.fixture
def opened(browser, page, request):
    """The page from the disk in a window of a size; what it asked for and complained of."""
    window = browser.new_page(viewport=request.param)
    window.set_default_timeout(20_000)
    asked, said = [], []
    window.on("request", lambda found: asked.append(found.url))
    window.on("console", lambda found: said.append(found.text))
    window.on("pageerror", lambda found: said.append(str(found)))
    window.goto(page.as_uri())
    window.wait_for_function(READY)
    yield window
    assert not said, said
    assert all(url.startswith(("file:", "data:")) for url in asked), asked
    window.close()


SIZES = [{"width": 1400, "height": 900}, {"width": 390, "height": 844}]


@pytest.mark.slow
@pytest.mark.parametrize("opened", SIZES, indirect=True, ids=["desk", "phone"])
def test_a_click_opens_a_tile_and_the_slider_fades(opened):
    size = opened.viewport_size
    assert opened.title() == "a 'wide' one"
    assert opened.evaluate("document.documentElement.scrollWidth") <= size["width"]
    # The middle of the tile in row 3, column 2.
    x, y = opened.evaluate(
        "(() => { const v = smaltiViewer.viewport, p = v.pixelFromPoint("
        "new OpenSeadragon.Point(2.5 / 12, 3.5 / 12)); return [p.x, p.y]; })()"
    )
    opened.mouse.click(x, y)
    opened.wait_for_selector("#tile:not([hidden])")
    assert opened.inner_text("#prompt") == "a <concept> & number 2"
    assert opened.inner_text("#subject") == "sylvie" and opened.inner_text("#seed") == "3"
    assert "--retile 3,2 --seed 4" in opened.inner_text("#command")
    opened.click("#near")
    opened.wait_for_function("smaltiViewer.viewport.getZoom(true) > 2")
    opened.keyboard.press("Escape")
    assert opened.is_hidden("#tile")
    opened.fill("#fade", "60")
    assert opened.evaluate("smaltiViewer.world.getItemAt(1).opacity") == pytest.approx(0.6)
    opened.click("#home")
    opened.wait_for_function("smaltiViewer.viewport.getZoom(true) < 1.5")
    for name in ("#in", "#out", "#home", "#fade"):
        box = opened.locator(name).bounding_box()
        assert box["height"] >= 44 and box["x"] >= 0
        assert box["x"] + box["width"] <= size["width"]


# --- where photos lie -------------------------------------------------------------------------

EVIL = '<img src=x onerror=alert(1)> & "Sons"'


@pytest.fixture(scope="module")
def with_photos(tmp_path_factory):
    """Three photos among the tiles, one of a guest with a name that is markup."""
    folder = made_mosaic(tmp_path_factory.mktemp("view") / "photos", 9, 12, 96)
    record = json.loads((folder / "mosaic.json").read_text())
    for tile, photo, name in (("r08_c11", "José.jpg", ""), ("r02_c03", "b.jpg", EVIL),
                              ("r04_c00", "José.jpg", "")):  # fmt: skip
        record["tiles"][tile] |= {"photo": photo, "how": "placed", "concept": ""}
        record["tiles"][tile] |= {"name": name} if name else {}
    (folder / "mosaic.json").write_text(json.dumps(record))
    return open_finished(folder)


def test_the_page_knows_where_photos_lie(with_photos, wide):
    data = page_data(with_photos)
    assert data["photos"] == [[EVIL, "b.jpg", 2, 3], ["José", "José.jpg", 4, 0],
                              ["José", "José.jpg", 8, 11]]  # fmt: skip
    assert data["subjects"][data["tiles"][2 * 12 + 3][0]] == "b.jpg"
    assert page_data(wide)["photos"] == []


@pytest.mark.slow
@pytest.mark.parametrize("size", SIZES, ids=["desk", "phone"])
def test_a_name_flies_to_its_tile(browser, with_photos, wide, page, tmp_path, size):
    window = browser.new_page(viewport=size)
    window.set_default_timeout(20_000)
    said = []
    for event in ("console", "pageerror", "dialog"):
        window.on(event, lambda found: said.append(str(found)))
    window.goto(write_view(with_photos, tmp_path / "page", **QUIET).as_uri())
    window.wait_for_function(READY)
    for name in ("#who", "#fade", "#home"):
        box = window.locator(name).bounding_box()
        assert box["height"] >= 44 and box["x"] >= 0 and box["x"] + box["width"] <= size["width"]
    window.fill("#who", "JOSE")
    assert window.locator("#found button").count() == 2
    window.keyboard.press("ArrowDown")
    window.keyboard.press("ArrowDown")
    window.keyboard.press("Enter")
    assert window.inner_text("#count") == "row 9, column 12"
    window.wait_for_function("smaltiViewer.viewport.getZoom(true) > 2")
    assert window.locator(".chosen").count() == 1
    window.fill("#who", "sons")
    assert window.inner_text("#found button").startswith(EVIL)
    assert window.locator("#found img").count() == 0
    window.focus("#who")
    window.keyboard.press("Enter")
    assert window.inner_text("#count") == "row 3, column 4"
    window.fill("#who", "nobody")
    assert window.locator("#found button").count() == 0 and window.inner_text("#count")
    assert window.evaluate("document.documentElement.scrollWidth") <= size["width"]
    window.goto(page.as_uri())
    window.wait_for_function(READY)
    assert window.is_hidden("#find"), "a mosaic without photos"
    assert not said, said
    window.close()
