"""Mosaics with photos among the tiles, on the tiny model."""

import csv
import io
import json
import shutil

import numpy as np
import pytest
import torch
from drawn import edit_record, pixels_of, record_of, tiles_of
from linear_base import LinearBase, means, step
from PIL import Image
from refusals import refused

from smalti.generate.guidance.projection import ProjectionGuide
from smalti.generate.locator import LOCATOR
from smalti.generate.photo_tiles import keeping_detail
from smalti.generate.retile import recorded_tables
from smalti.generate.store import read_record

pytestmark = pytest.mark.slow  # each test draws on the tiny model

OPTIONS = {"grid": "3x4", "steps": 2, "reference_steps": 2, "photo_distance": 1}


@pytest.fixture(scope="module")
def guests(tmp_path_factory):
    """Four photos, one of them cut short, and a list that has one drawn over by hand."""
    folder = tmp_path_factory.mktemp("photos")
    (folder / "guests").mkdir()
    random = np.random.default_rng(0)
    for name in ("anna", "ben", "zoe", "cut"):
        coarse = Image.fromarray(random.integers(0, 256, (4, 4, 3), np.uint8))
        coarse.resize((90, 80), Image.Resampling.BICUBIC).save(folder / f"guests/{name}.jpg")
    whole = (folder / "guests/cut.jpg").read_bytes()
    (folder / "guests/cut.jpg").write_bytes(whole[: len(whole) // 2])
    (folder / "list.csv").write_text("row,col,file,how,name\n3,4,zoe.jpg,drawn,Aunt Zoe\n")
    return folder


@pytest.fixture(scope="module")
def with_photos(small, make, guests):
    def run(out=None, **options):
        given = {"tile_photos": str(guests / "guests"), "photo_places": str(guests / "list.csv"),
                 "photo_share": 0.5}  # fmt: skip
        return make(small, out, **OPTIONS | given | options)

    return run


@pytest.fixture(scope="module")
def made(with_photos):
    """Not to be written to."""
    return with_photos()


def photos_of(folder) -> dict[str, dict]:
    return {name: f for name, f in record_of(folder)["tiles"].items() if "photo" in f}


def test_every_photo_that_can_be_read_is_there_as_it_was_asked(made, guests):
    found = photos_of(made)
    assert {f["photo"] for f in found.values()} == {"anna.jpg", "ben.jpg", "zoe.jpg"}
    assert len(found) == 6 and found["r02_c03"]["photo"] == "zoe.jpg"
    assert found["r02_c03"]["name"] == "Aunt Zoe"
    for name, facts in found.items():
        assert facts["how"] == ("drawn" if facts["photo"] == "zoe.jpg" else "placed")
        assert facts["correction_energy"] == 0 and facts["concept"] == ""
        photo = Image.open(guests / "guests" / facts["photo"]).crop((5, 0, 85, 80))
        plain = np.asarray(photo.resize((64, 64), Image.Resampling.BICUBIC)).astype(int)
        apart = np.abs(pixels_of(made)[f"{name}.png"] - plain).mean()
        assert (apart < 2) == (facts["how"] == "placed")
        text = Image.open(made / f"tiles/{name}.png").info["parameters"]
        assert ("Sampler" in text) == (facts["how"] == "drawn")
    assert b"compositeWithTrainedAlgorithmicMedia" in (made / "mosaic.png").read_bytes()
    assert str(guests) not in json.dumps(record_of(made)["tiles"])


@pytest.mark.parametrize("cells", [1, 3, 4])
def test_what_keeps_all_detail_leaves_the_block_its_band_and_the_photo_the_rest(cells):
    """With a linear decoder: means are the block's, and what was changed is smooth.

    A change that has `cells` values along each axis has at most as many independent rows.
    """
    g = torch.Generator().manual_seed(0)
    photo, drawn = (torch.randn(2, 4, 12, 12, generator=g) for _ in range(2))
    block, base = torch.rand(2, 3, 96, 96, generator=g), LinearBase()
    guide = ProjectionGuide(base.linear_decoder, base.decode, block, cells=cells)
    _, found = guide(drawn, keeping_detail(photo, cells, 1.0, None)(drawn), step())
    torch.testing.assert_close(means(base.decode(found), cells), means(block, cells))
    changed = torch.linalg.matrix_rank(found - photo, atol=1e-4)
    assert changed.max() <= cells < torch.linalg.matrix_rank(drawn - photo, atol=1e-4).min()
    _, guided = guide(drawn, drawn, step())
    after = keeping_detail(photo, cells, 1.0, None)(guided)
    torch.testing.assert_close(after, found, atol=1e-4, rtol=0)  # in whichever order


def test_a_share_of_detail_is_kept_after_what_aligns():
    """Half of it lies half way, and none asks for nothing."""
    g = torch.Generator().manual_seed(1)
    photo, drawn = (torch.randn(1, 4, 8, 8, generator=g) for _ in range(2))
    whole, half = (keeping_detail(photo, 4, k, torch.neg)(drawn) for k in (1.0, 0.5))
    torch.testing.assert_close(half, (whole - drawn) / 2)
    torch.testing.assert_close(means(whole, 4), means(-drawn, 4))
    assert keeping_detail(photo, 4, 0.0, torch.neg) is torch.neg
    assert keeping_detail(photo, 4, 0.0, None) is None


def test_only_photos_that_are_drawn_over_know_of_keeping(made, with_photos):
    other = with_photos(photo_keep=0.3)
    before, after = tiles_of(made), tiles_of(other)
    drawn = {f"{name}.png" for name, f in photos_of(made).items() if f["how"] == "drawn"}
    assert {name for name in before if before[name] != after[name]} == drawn != set()


def test_a_mosaic_from_before_photos_kept_anything_says_so(made, with_photos, tmp_path):
    out = shutil.copytree(made, tmp_path / "m")
    record = record_of(out)
    for named in (record["identity"], record["settings"]["mosaic"]["photos"]):
        del named["photo_keep"], named["photo_cells"]
    edit_record(out, **record)
    told = read_record(out)["identity"]
    assert (told["photo_keep"], told["photo_cells"]) == (0, told["low_pass_cells"])
    mosaic = recorded_tables(out)["mosaic"]
    assert (mosaic["photo_keep"], mosaic["photo_cells"]) == (0, mosaic["low_pass_cells"])
    with refused("photo_keep"):
        with_photos(out)
    with_photos(out, photo_keep=0.0, photo_cells=told["low_pass_cells"])  # finished: nothing drawn
    assert tiles_of(out) == tiles_of(made)


def test_the_locator_says_where_and_can_be_given_back(made, with_photos, guests):
    rows = list(csv.DictReader(io.StringIO((made / LOCATOR).read_text())))
    places = {(int(row["row"]), int(row["col"])): row["file"] for row in rows}
    found = {(int(n[1:3]) + 1, int(n[5:]) + 1): f["photo"] for n, f in photos_of(made).items()}
    assert places == found and rows[-1]["name"] == "Aunt Zoe"
    path = shutil.copy(made / LOCATOR, guests / "guests/places.csv")
    again = with_photos(tile_photos="", photo_places=str(path), photo_share=None)
    assert tiles_of(again) == tiles_of(made)


def test_a_mosaic_that_was_killed_goes_on_to_the_same_bytes(with_photos, made, tmp_path, killed):
    out = tmp_path / "m"
    killed()
    with pytest.raises(KeyboardInterrupt):
        with_photos(out, batch_size=4)
    left = {tile: out / f"tiles/{tile}.png" for tile in record_of(made)["tiles"]}
    assert 0 < sum(path.exists() for path in left.values()) < 12
    with_photos(out)
    (out / "tiles/r02_c03.png").unlink()  # drawn over
    placed = [name for name, facts in photos_of(made).items() if facts["how"] == "placed"]
    (out / f"tiles/{placed[0]}.png").unlink()
    (out / "mosaic.png").unlink()
    with_photos(out)
    whole = with_photos(tmp_path / "whole", batch_size=4)
    assert tiles_of(out) == tiles_of(whole)
    assert (out / LOCATOR).read_bytes() == (whole / LOCATOR).read_bytes()


def test_a_photo_is_drawn_anew_from_itself_and_a_placed_one_is_not(made, with_photos, tmp_path):
    out = shutil.copytree(made, tmp_path / "m")
    with_photos(out, retile=[(2, 3)], seed=5)
    before, after = tiles_of(made), tiles_of(out)
    assert [name for name in before if before[name] != after[name]] == ["r02_c03.png"]
    assert photos_of(out)["r02_c03"]["photo"] == "zoe.jpg"
    placed = next(name for name, f in photos_of(made).items() if f["how"] == "placed")
    tile = int(placed[1:3]), int(placed[5:])
    with refused(placed, photos_of(made)[placed]["photo"]):
        with_photos(out, retile=[tile], seed=6)


def test_strength_0_is_the_photo_and_other_photos_are_another_mosaic(
    made, small, make, guests, with_photos, tmp_path
):
    """At strength 0 no step is taken: what is left is what the autoencoder makes of the photo."""
    alone = {"tile_photos": str(guests / "guests"), "photo_mode": "drawn", "photo_share": 1.0}
    kept, none = (
        make(small, **OPTIONS | alone | {"photo_strength": 0.0, "seed": seed}) for seed in (0, 1)
    )
    hers = {n: f["photo"] for n, f in photos_of(kept).items()}
    assert hers and tiles_of(kept).keys() == tiles_of(none).keys()
    where = {photo: name for name, photo in hers.items()}
    there = {f["photo"]: name for name, f in photos_of(none).items()}
    for photo, name in where.items():
        same = pixels_of(kept)[f"{name}.png"] - pixels_of(none)[f"{there[photo]}.png"]
        assert np.abs(same).max() <= 1
    mine = shutil.copytree(guests / "guests", tmp_path / "guests")
    Image.new("RGB", (80, 80)).save(mine / "anna.jpg")
    with refused("tile_photos"):
        with_photos(made, tile_photos=str(mine))


def test_tint_on_a_placed_photo_is_reported(with_photos, made):
    tinted = with_photos(tint=0.1)
    energy = record_of(tinted)["metrics"]["correction_energy"]
    assert energy > 0
    for name, facts in photos_of(tinted).items():
        if facts["how"] == "placed":
            change = (pixels_of(tinted)[f"{name}.png"] - pixels_of(made)[f"{name}.png"]) / 255
            assert facts["correction_energy"] == pytest.approx(np.mean(change**2), rel=0.05)
