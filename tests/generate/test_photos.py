"""Which photos go where, before anything is decoded: shares, regions, lists, and bad input."""

import shutil

import pytest
from drawn import change
from PIL import Image
from refusals import refused

from smalti.configs.mosaic import MosaicSettings, mosaic_settings
from smalti.generate.grid import Grid
from smalti.generate.photos import in_region, photo_identity, plan_photos, read_places
from smalti.generate.plan import plan_mosaic

GRID = Grid(4, 5, 64, 16)


@pytest.fixture(scope="module")
def guests(tmp_path_factory):
    """Three photos, one file that is none, and one that is too small."""
    folder = tmp_path_factory.mktemp("guests")
    for number, name in enumerate(("anna", "ben", "Zoë")):
        Image.new("RGB", (70, 90), (80 * number, 20, 200)).save(folder / f"{name}.jpg")
    (folder / "broken.jpg").write_text("no picture")
    Image.new("RGB", (9, 9)).save(folder / "tiny.png")
    return folder


@pytest.fixture
def planned(guests, tmp_path):
    """A plan of settings, the CSV of places given as text."""

    def plan(places: str = "", **options):
        if places:
            (tmp_path / "places.csv").write_text(places, encoding="utf-8")
            options["photo_places"] = str(tmp_path / "places.csv")
        options = {"tile_photos": str(guests)} | options
        return plan_photos(mosaic_settings(**options), GRID)

    return plan


@pytest.mark.parametrize(("options", "count"), [
    ({}, 6), ({"photo_share": 0.5}, 10), ({"photo_share": 1.0}, 20),
    ({"photos_in": "0,0,1,0.25"}, 5), ({"photos_in": "0,0,1,0.5", "photo_share": 0.4}, 4),
])  # fmt: skip
def test_how_many_tiles_are_photos(planned, options, count):
    plan = planned(**options)
    assert plan.count == count and len(plan.photos) == 3
    assert [photo.file.name for photo in plan.photos] == sorted(p.file.name for p in plan.photos)
    assert f"in {count} of 20" in plan.sentence(20)


def test_what_cannot_be_read_is_named_and_left_out(planned):
    plan = planned()
    assert len(plan.unread) == 2
    assert all(name in plan.sentence(20) for name in ("broken.jpg", "tiny.png", "9x9"))


@pytest.mark.parametrize(("region", "tiles"), [
    ("0,0,1,1", 20), ("0.2, 0.25, 0.8, 0.75", 6), ("0,0,0.1,0.125", 1), ("", 20),
])  # fmt: skip
def test_a_region_is_the_tiles_whose_middles_lie_in_it(region, tiles):
    """By hand: columns have their middles at 0.1, 0.3, ..., rows at 0.125, 0.375, ..."""
    assert len(in_region(region, GRID)) == tiles


def test_a_list_gives_places_ways_and_names(planned):
    plan = planned(
        "row;col;file;how;name\n4;5;ben.jpg;drawn;Uncle Ben\n1;1;ben.jpg;;\n;;Zoe\u0308.jpg;;Z\n"
    )
    by_hand = [(tile, photo.file.stem) for tile, photo in plan.fixed]
    assert by_hand == [((3, 4), "ben"), ((0, 0), "ben")]
    told = {photo.file.stem: (photo.how, photo.name) for photo in plan.photos}
    assert told["anna"] == ("placed", "") and told["Zoë"] == ("placed", "Z")
    assert {photo.file.stem for photo in plan.free} == {"anna", "Zoë"}
    assert len(plan.spots) == 18 and (0, 0) not in plan.spots


def test_a_list_alone_takes_files_beside_it_and_no_more_tiles(guests, tmp_path):
    shutil.copy(guests / "anna.jpg", tmp_path)
    path = tmp_path / "places.csv"
    path.write_text("row,col,file,how\n2,3,anna.jpg,drawn\n,,nobody.jpg,\n")
    plan = plan_photos(mosaic_settings(photo_places=str(path)), GRID)
    assert [tile for tile, _ in plan.fixed] == [(1, 2)] and plan.count == 1
    assert "nobody.jpg" in plan.unread[0]


@pytest.mark.parametrize(("text", "named"), [
    ("row,file\n1,anna.jpg\n", ["col"]),
    ("", ["col"]),
    ("row,col,file\n", ["no photo"]),
    ("row,col,file\n0,1,anna.jpg\n", ["line 2", "row", "4", '"0"']),
    ("row,col,file\n1,6,anna.jpg\n", ["line 2", "col", "5", '"6"']),
    ("row,col,file\n1,,anna.jpg\n", ["line 2", "col"]),
    ("row,col,file\n1,1,anna.jpg\n1,1,ben.jpg\n", ["line 3", "line 2"]),
    ("row,col,file\n1,1,../anna.jpg\n", ["line 2", "../anna.jpg"]),
    ("row,col,file\n1,1,\n", ["line 2", "file"]),
    ("row,col,file,how\n1,1,anna.jpg,glued\n", ["line 2", "glued", "placed"]),
    ('row,col,file\n1,1,"anna.jpg"x\n', ["line 2"]),
])  # fmt: skip
def test_a_bad_list_is_refused_in_one_line(tmp_path, text, named):
    path = tmp_path / "places.csv"
    path.write_text(text)
    with refused("places.csv", *named):
        read_places(path, GRID)


@pytest.mark.parametrize(("options", "named"), [
    ({"photo_share": 0.1}, ["3 photos", "2 tiles", "--photo-share"]),
    ({"photos_in": "0,0,0.3,0.3"}, ["3 photos", "2 tiles", "--photos-in"]),
    ({"photos_in": "0,0,0.01,0.01"}, ["--photos-in"]),
    ({"photos_in": "0.5,0,0.2,1"}, ["--photos-in", "0.5,0,0.2,1"]),
    ({"photos_in": "left"}, ["--photos-in", "left"]),
    ({"photo_places": "none.csv"}, ["--photo-places", "none.csv"]),
    ({"tile_photos": "nowhere"}, ["--tile-photos", "nowhere"]),
    ({"method": "match"}, ["match", "--tile-photos"]),
])  # fmt: skip
def test_what_cannot_be_is_refused(planned, options, named):
    with refused(*named):
        planned(**options)


def test_a_folder_of_which_nothing_can_be_read_is_refused(planned, guests, tmp_path):
    shutil.copy(guests / "broken.jpg", tmp_path)
    with refused("broken.jpg"):
        planned(tile_photos=str(tmp_path))


@pytest.mark.parametrize("name", ["photo_share", "photos_in", "photo_mode", "photo_distance"])
def test_settings_of_photos_without_any_are_refused(name):
    value = {"photos_in": "0,0,1,1", "photo_mode": "drawn", "photo_distance": 3}.get(name, 0.5)
    with refused(f"mosaic.{name}", "--tile-photos"):
        mosaic_settings(**{name: value})


def test_photos_are_identified_by_contents_and_lists_too(guests, tmp_path):
    def identity(folder, places=""):
        return photo_identity(
            mosaic_settings(tile_photos=str(folder), photo_places=str(places)).photos
        )

    moved = shutil.copytree(guests, tmp_path / "moved")
    assert identity(guests) == identity(moved)
    Image.new("RGB", (70, 90), "red").save(moved / "anna.jpg")
    assert identity(guests) != identity(moved)
    (tmp_path / "a.csv").write_text("row,col,file\n1,1,anna.jpg\n")
    assert identity(guests, tmp_path / "a.csv") != identity(guests)
    assert photo_identity(MosaicSettings().photos) == {"tile_photos": "", "photo_places": ""}


def test_a_plan_says_where_photos_go_and_costs_less(small, guests, tmp_path):
    def plan(**options):
        return plan_mosaic(change(small, **options), concepts_dir=tmp_path)

    plain, share = plan(), {"tile_photos": str(guests), "photo_share": 0.5}
    placed, drawn = plan(**share), plan(**share, photo_mode="drawn")
    assert "photos" not in plain.facts() and "3 in 3 of 6" in placed.facts()["photos"]
    assert "3 drawn over" in drawn.facts()["photos"]
    assert placed.seconds == pytest.approx(plain.seconds / 2)
    assert placed.seconds < drawn.seconds < plain.seconds
    assert plan(**share, photo_distance=9).identity != placed.identity
