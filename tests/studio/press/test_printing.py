"""Print files as readers that are not ours see them: sizes, profiles, tags, boxes, colours."""

import json
import re
import shutil
import threading
from pathlib import Path

import numpy as np
import pytest
import tifffile
from made_mosaics import large_mosaic, made_mosaic
from PIL import Image, ImageCms
from refusals import refused
from skimage.color import deltaE_ciede2000, rgb2lab

from smalti.configs.errors import SmaltiError
from smalti.configs.product import ProductSettings, with_changes
from smalti.studio import extra
from smalti.studio.press import files
from smalti.studio.press.canvas import whole
from smalti.studio.press.finished import Finished, open_finished
from smalti.studio.press.geometry import product_page
from smalti.studio.press.printing import layout_of, print_mosaic, product_for
from smalti.studio.press.profiles import SRGB, find_profile
from smalti.studio.press.sizes import sized

pyvips = pytest.importorskip("pyvips")
PRODUCT = ProductSettings(width=80, height=60, bleed=3, dpi=144, name="card")
SIZE = (454 + 2 * 17, 340 + 2 * 17)  # 80 and 60 mm, 3 mm on each side
QUIET = {"progress": lambda *_: None}


@pytest.fixture(scope="module")
def cmyk(tmp_path_factory) -> Path:
    """A CMYK profile of a printer, which comes with libvips."""
    path = tmp_path_factory.mktemp("icc") / "printer.icc"
    path.write_bytes(pyvips.Operation.call("profile_load", "cmyk"))
    return path


def printed(mosaic: Finished, out: Path, **changes) -> Path:
    (path,) = print_mosaic(mosaic, with_changes(PRODUCT, **changes), out, **QUIET)
    return path


def description(data: bytes) -> str:
    from io import BytesIO

    return ImageCms.getProfileDescription(ImageCms.ImageCmsProfile(BytesIO(data))).strip()


@pytest.mark.parametrize(("kind", "suffix"), [("tiff", ".tif"), ("png", ".png"), ("jpeg", ".jpg")])
def test_size_profile_resolution_and_pixels(mosaic, tmp_path, kind, suffix):
    path = printed(mosaic, tmp_path, format=kind)
    assert path == tmp_path / f"card{suffix}"
    with Image.open(path) as image:
        assert image.size == SIZE and image.mode == "RGB" and image.format.lower() == kind
        assert image.info["dpi"] == pytest.approx((144, 144), abs=0.01)
        assert description(image.info["icc_profile"]) == "sRGB"
        wanted = whole(mosaic, product_page(PRODUCT, mosaic.grid)).astype(int)
        off = np.abs(np.asarray(image) - wanted)
    assert off.max() <= (40 if kind == "jpeg" else 0) and off.mean() < 2


def test_a_tiff_is_tiled_and_big_where_it_must_be(mosaic, tmp_path, monkeypatch):
    with tifffile.TiffFile(printed(mosaic, tmp_path)) as file:
        page = file.pages[0]
        assert page.is_tiled and not file.is_bigtiff and page.compression.name == "LZW"
    monkeypatch.setattr(files, "BIG_TIFF", 1000)
    with tifffile.TiffFile(printed(mosaic, tmp_path / "big")) as file:
        assert file.is_bigtiff and file.pages[0].shape == (SIZE[1], SIZE[0], 3)


def test_a_pdf_has_boxes_profile_and_the_picture(mosaic, tmp_path):
    pikepdf = pytest.importorskip("pikepdf")
    path = printed(mosaic, tmp_path, format="pdf")
    with pikepdf.open(path) as document:
        (page,) = document.pages
        points = [px / 144 * 72 for px in SIZE]
        assert [float(v) for v in page.mediabox] == pytest.approx([0, 0, *points], abs=0.01)
        bleed = 17 / 144 * 72
        inner = [bleed, bleed, points[0] - bleed, points[1] - bleed]
        assert [float(v) for v in page.trimbox] == pytest.approx(inner, abs=0.01)
        assert [float(v) for v in page.bleedbox] == pytest.approx([0, 0, *points], abs=0.01)
        (picture,) = page.images.values()
        assert (int(picture.Width), int(picture.Height)) == SIZE
        assert description(picture.ColorSpace[1].read_bytes()) == "sRGB"
        assert b"trainedAlgorithmicMedia" in document.Root.Metadata.read_bytes()


@pytest.mark.parametrize("kind", ["tiff", "jpeg", "png"])
def test_as_exiftool_and_vipsheader_see_it(mosaic, tmp_path, read_by, kind):
    path = printed(mosaic, tmp_path, format=kind)
    told = json.loads(read_by("exiftool", "-json", "-n", path))[0]
    assert (told["ImageWidth"], told["ImageHeight"]) == SIZE
    assert told["XResolution"] == told["YResolution"] == pytest.approx(144)
    assert told["ProfileDescription"].strip() == "sRGB"
    assert told["DigitalSourceType"].endswith("/trainedAlgorithmicMedia")
    assert f"{SIZE[0]}x{SIZE[1]} uchar, 3 bands, srgb" in read_by("vipsheader", path)


def test_as_pdfinfo_sees_it(mosaic, tmp_path, read_by):
    told = read_by("pdfinfo", "-box", printed(mosaic, tmp_path, format="pdf"))
    boxes = dict(re.findall(r"^(\w+Box):\s+(.+)$", told, re.MULTILINE))
    assert [float(v) for v in boxes["TrimBox"].split()] == [8.5, 8.5, 235.5, 178.5]
    assert [float(v) for v in boxes["BleedBox"].split()] == [0, 0, 244, 187]


@pytest.mark.slow
def test_30_cm_at_300_dpi_from_23_x_23_tiles(tmp_path, read_by):
    """3,543 px and a bleed of 35 px on each side."""
    mosaic = open_finished(large_mosaic(tmp_path / "large", 23, 23, 128))
    layout = layout_of(mosaic, sized("30x30cm"))
    assert not layout.warnings()
    (path,) = print_mosaic(mosaic, layout.product, tmp_path, **QUIET)
    told = json.loads(read_by("exiftool", "-json", "-n", path))[0]
    assert told["ImageWidth"] == told["ImageHeight"] == 3543 + 2 * 35
    assert told["XResolution"] == pytest.approx(300) and told["ResolutionUnit"] == 2
    assert told["ProfileDescription"].strip() == "sRGB"


def test_panels_are_files_of_their_own(mosaic, tmp_path):
    product = with_changes(PRODUCT, panels="2x2", overlap=4)
    paths = print_mosaic(mosaic, product, tmp_path, **QUIET)
    assert [path.name for path in paths[:4]] == [f"card-{n}.tif" for n in ("A1", "A2", "B1", "B2")]
    slug, bleed, overlap = (round(mm / 25.4 * 144) for mm in (10, 3, 4))
    with Image.open(paths[0]) as image:
        assert image.size == tuple(half + 2 * slug + bleed + overlap for half in (227, 170))
    with refused("--out"):
        print_mosaic(mosaic, product, tmp_path / "one.tif", **QUIET)


# --- colour -----------------------------------------------------------------------------------


def to_srgb(path: Path) -> np.ndarray:
    """A file's pixels in sRGB through Pillow's LittleCMS, from the profile that it carries."""
    from io import BytesIO

    with Image.open(path) as image:
        source = ImageCms.ImageCmsProfile(BytesIO(image.info["icc_profile"]))
        target = ImageCms.ImageCmsProfile(str(SRGB))
        intent = ImageCms.Intent.RELATIVE_COLORIMETRIC
        return np.asarray(ImageCms.profileToProfile(image, source, target, renderingIntent=intent))


def differences(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """CIEDE2000 of 8-bit sRGB pixels, by scikit-image."""
    return deltaE_ciede2000(rgb2lab(one / 255), rgb2lab(other / 255))


@pytest.mark.parametrize("name", ["adobe-rgb", "display-p3"])
def test_wide_profiles_show_the_same_colours(mosaic, tmp_path, name):
    path = printed(mosaic, tmp_path, profile=name)
    wanted = whole(mosaic, product_page(PRODUCT, mosaic.grid))
    with Image.open(path) as image:
        assert np.abs(np.asarray(image).astype(int) - wanted).max() > 5, "it is converted"
        assert description(image.info["icc_profile"]) != "sRGB"
    assert differences(to_srgb(path), wanted).max() < 2


@pytest.mark.parametrize("name", ["adobe-rgb", "display-p3"])
def test_the_mosaic_of_a_wide_photo_is_that_of_the_converted_one(tmp_path, name):
    """A photo in a wide profile becomes a mosaic, is printed in that profile, and read back."""
    from smalti.models.photos import load_photo
    from smalti.models.pixels import to_pixels

    profile = find_profile(name)
    source = profile.source if name == "adobe-rgb" else None
    data = Path(source).read_bytes() if source else pyvips.Operation.call("profile_load", "p3")
    ramp = np.stack(np.meshgrid(np.linspace(60, 200, 96), np.linspace(60, 200, 96)), -1)
    wide = np.concatenate([ramp, np.full((96, 96, 1), 128.0)], -1).astype(np.uint8)
    photo = tmp_path / "wide.png"
    Image.fromarray(wide).save(photo, icc_profile=data)
    image = pyvips.Image.new_from_file(str(photo)).icc_transform(str(SRGB), embedded=True)
    converted = image.numpy()[..., :3]

    def tiles(pixels: np.ndarray):
        return lambda row, col, side: pixels[row * 32 : row * 32 + 32, col * 32 : col * 32 + 32]

    read = to_pixels(load_photo(photo))
    found = open_finished(made_mosaic(tmp_path / "found", 3, 3, 32, tiles(read)))
    wanted = open_finished(made_mosaic(tmp_path / "wanted", 3, 3, 32, tiles(converted)))
    product = with_changes(PRODUCT, width=60, bleed=0)
    path = printed(found, tmp_path, profile=name, width=60, bleed=0)
    assert differences(to_srgb(path), whole(wanted, product_page(product, wanted.grid))).max() < 2


@pytest.mark.parametrize("intent", ["relative", "perceptual"])
def test_cmyk_is_what_littlecms_own_tool_gives(mosaic, tmp_path, cmyk, read_by, intent):
    path = printed(mosaic, tmp_path, profile=str(cmyk), intent=intent)
    plain, theirs = tmp_path / "plain.tif", tmp_path / "theirs.tif"
    Image.fromarray(whole(mosaic, product_page(PRODUCT, mosaic.grid))).save(plain)
    number = {"perceptual": 0, "relative": 1}[intent]
    read_by("tificc", f"-i{SRGB}", f"-o{cmyk}", f"-t{number}", "-b", plain, theirs)
    ours, wanted = (np.asarray(Image.open(name)).astype(int) for name in (path, theirs))
    assert ours.shape == wanted.shape == (SIZE[1], SIZE[0], 4)
    assert np.abs(ours - wanted).max() <= 3 and np.abs(ours - wanted).mean() < 0.6


@pytest.mark.parametrize("kind", ["tiff", "jpeg", "pdf"])
def test_cmyk_files_carry_the_printers_profile(mosaic, tmp_path, cmyk, kind):
    path = printed(mosaic, tmp_path, profile=str(cmyk), format=kind)
    if kind == "pdf":
        pikepdf = pytest.importorskip("pikepdf")
        with pikepdf.open(path) as document:
            (picture,) = document.pages[0].images.values()
            assert int(picture.ColorSpace[1].N) == 4
            assert picture.ColorSpace[1].read_bytes() == cmyk.read_bytes()
        return
    with Image.open(path) as image:
        assert image.mode == "CMYK" and image.info["icc_profile"] == cmyk.read_bytes()


# --- what is refused --------------------------------------------------------------------------


def test_profiles_that_are_none(mosaic, tmp_path, cmyk):
    text = tmp_path / "lab.icc"
    text.write_text("no profile")
    grey = tmp_path / "grey.icc"
    grey.write_bytes(ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes())
    for name in (text, grey, "fogra"):
        with refused(Path(name).name):
            printed(mosaic, tmp_path / "out", profile=str(name))
    with refused("CMYK", "tiff"):
        printed(mosaic, tmp_path / "out", profile=str(cmyk), format="png")
    assert not (tmp_path / "out").exists()


def test_a_page_that_a_format_does_not_hold(mosaic, tmp_path):
    with refused("jpeg", "tiff"):
        printed(mosaic, tmp_path, format="jpeg", width=19_000, dpi=100)
    with refused("5 m"):
        printed(mosaic, tmp_path, format="pdf", width=6000, dpi=20)
    with refused("dpi"):
        printed(mosaic, tmp_path, width=0.1, dpi=20)
    assert list(tmp_path.iterdir()) == []


def test_a_damaged_tile_leaves_no_file(folder, tmp_path):
    copy = shutil.copytree(folder, tmp_path / "copy")
    tile = copy / "tiles/r02_c03.png"
    tile.write_bytes(tile.read_bytes()[:-40])
    with refused("r02_c03"):
        printed(open_finished(copy), tmp_path / "out")
    assert list((tmp_path / "out").iterdir()) == []


def test_a_target_that_cannot_be_written(mosaic, tmp_path):
    (tmp_path / "file").write_text("")
    with refused("file"):
        printed(mosaic, tmp_path / "file" / "x.tif", format="tiff")


def test_a_stopped_print_leaves_no_file(mosaic, tmp_path):
    def stop(done, total, note):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        print_mosaic(mosaic, PRODUCT, tmp_path, progress=stop)
    assert list(tmp_path.iterdir()) == []


def test_an_error_of_libvips_is_one_line(mosaic, tmp_path, monkeypatch):
    def fail(image, path):
        raise pyvips.Error("no luck", detail="wbuffer_write: write failed\nunix error: no space")

    monkeypatch.setitem(files.SAVERS, "tiff", fail)
    with refused("full", kind=SmaltiError):
        printed(mosaic, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_threads_of_a_print_that_failed_end_with_it(mosaic, tmp_path, monkeypatch):
    """Not when garbage is collected, which may be while a thread starts, and then never ends."""

    def fail(image, path):
        raise pyvips.Error("no luck")

    monkeypatch.setitem(files.SAVERS, "tiff", fail)
    before = set(threading.enumerate())
    with pytest.raises(SmaltiError) as kept:  # with all that its frames hold
        printed(mosaic, tmp_path)
    left = {thread.name for thread in set(threading.enumerate()) - before}
    assert kept and not [name for name in left if name.startswith("ThreadPool")]


def test_without_the_extra_one_line_says_what_to_install(mosaic, tmp_path, monkeypatch):
    def missing(name):
        raise ImportError(f"No module named {name!r}")

    monkeypatch.setattr(extra, "import_module", missing)
    with refused("pyvips", "smalti[studio]"):
        printed(mosaic, tmp_path)


def test_the_name_of_the_target_chooses_the_format(mosaic, tmp_path):
    assert product_for(PRODUCT, tmp_path / "a.PDF").format == "pdf"
    assert product_for(PRODUCT, tmp_path / "folder") == PRODUCT == product_for(PRODUCT, None)
    path = printed(mosaic, tmp_path / "b.jpg", format="jpeg")
    assert path == tmp_path / "b.jpg"
