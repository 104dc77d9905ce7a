"""The folder of a mosaic: its claim, whole tiles, strangers, and records of the first format."""

import json

import numpy as np
import pytest
import torch
from drawn import edit_record, record_of
from PIL import Image
from refusals import refused

from smalti.configs.errors import InputError, SmaltiError
from smalti.configs.mosaic import mosaic_settings
from smalti.generate.grid import Grid
from smalti.generate.store import Store, read_record

GRID = Grid(2, 3, 64, 21)


@pytest.fixture
def store(tmp_path) -> Store:
    return Store(tmp_path / "m", GRID)


@pytest.fixture
def identity() -> dict:
    """What a mosaic's tiles depend on, as a plan and a resolved precision give it."""
    return {"base": "b", **mosaic_settings(tile_prompt=("x",)).identity(), "precision": "no"}


@pytest.fixture
def picture() -> torch.Tensor:
    return torch.rand(3, 64, 64, generator=torch.Generator().manual_seed(0))


def test_a_folder_is_claimed_once(store, identity):
    store.claim(identity)
    before = record_of(store.folder)
    store.claim(identity)
    assert record_of(store.folder) == before
    for other in ({"steps": 9}, {"precision": "bf16"}, {"base": "c"}, {"reference": "abc"}):
        with pytest.raises(InputError) as told:
            store.claim({**identity, **other})
        (name,) = other
        assert name in str(told.value) and str(store.folder) in str(told.value)


@pytest.mark.parametrize("place", ["", "tiles", "pool/tiles"])
def test_a_claim_sweeps_what_a_killed_run_left(store, identity, place):
    folder = store.folder / place
    folder.mkdir(parents=True)
    (folder / ".r04_c06.png.4194305.tmp").touch()  # above Linux's largest process number
    (folder / ".mine").touch()
    store.claim(identity)
    assert {path.name for path in folder.iterdir()} >= {".mine"}
    assert not list(store.folder.rglob("*.tmp"))


def test_a_setting_that_an_older_smalti_did_not_have_counts_as_its_default(store, identity):
    store.claim(identity)
    edit_record(store.folder, identity={n: v for n, v in identity.items() if n != "tint"})
    store.claim(identity)
    with pytest.raises(InputError) as told:
        store.claim({**identity, "tint": 0.1})
    assert "tint" in str(told.value) and "0.1" in str(told.value)


@pytest.mark.parametrize("name", ["reference.png", "mosaic.png", "tiles/r00_c00.png"])
def test_a_users_own_pictures_are_not_overwritten(store, identity, picture, name):
    path = store.folder / name
    path.parent.mkdir(parents=True)
    path.write_bytes(b"mine")
    with pytest.raises(InputError) as told:
        store.claim(identity)
    assert "mosaic.json" in str(told.value)
    assert path.read_bytes() == b"mine" and not (store.folder / "mosaic.json").exists()


def test_a_folder_of_somebodys_photos_is_left_alone(store, identity):
    """Its pictures would be taken for photos, and it might be deleted with the mosaic."""
    store.folder.mkdir(parents=True, exist_ok=True)
    (store.folder / "anna.JPG").write_bytes(b"")
    with refused("anna.JPG", "--out"):
        store.claim(identity)
    assert [path.name for path in store.folder.iterdir()] == ["anna.JPG"]


def test_a_file_is_no_folder(store, identity):
    store.folder.write_text("")
    with pytest.raises(InputError) as told:
        store.claim(identity)
    assert str(store.folder) in str(told.value)


def test_other_weights_of_the_base_are_noticed(store, identity):
    store.claim(identity)
    store.check_base("first")
    store.update(base_fingerprint="first")
    store.check_base("first")
    with pytest.raises(InputError) as told:
        store.check_base("second")
    assert "first" in str(told.value) and "second" in str(told.value)


def test_what_is_saved_is_there_and_says_what_it_is(store, picture):
    store.save((1, 2), picture, {"seed": 3}, "Steps: 3")
    with Image.open(store.folder / "tiles/r01_c02.png") as image:
        assert np.array_equal(np.asarray(image), (picture * 255).round().byte().permute(1, 2, 0))
        assert image.info["parameters"] == "Steps: 3"
    assert store.facts([(1, 2)]) == {"r01_c02": {"seed": 3}}
    assert store.seed_of((1, 2)) == 3 and store.seed_of((0, 0)) is None


def test_missing_is_what_is_not_there_or_not_whole(store, picture):
    for tile in GRID.tiles:
        store.save(tile, picture, {}, "")
    assert store.missing() == []
    whole = store.path((0, 1)).read_bytes()
    store.path((0, 0)).unlink()
    store.path((0, 1)).write_bytes(whole[: len(whole) // 2])
    store.path((0, 2)).write_bytes(b"no picture")
    Image.new("RGB", (32, 32)).save(store.path((1, 0)))  # of another tile size
    assert store.missing() == [(0, 0), (0, 1), (0, 2), (1, 0)]


def test_the_canvas_is_all_tiles_in_their_places(store):
    for number, tile in enumerate(GRID.tiles):
        store.save(tile, torch.full((3, 64, 64), number / 255), {}, "")
    canvas = store.canvas()
    assert canvas.shape == (128, 192, 3)
    assert canvas[::64, ::64, 0].tolist() == [[0, 1, 2], [3, 4, 5]]


def test_the_reference_is_kept_in_8_bits_and_only_in_the_grids_size(store):
    picture = torch.rand(3, 42, 63, generator=torch.Generator().manual_seed(0))
    assert store.reference() is None
    store.save_reference(picture)
    assert (store.reference() - picture).abs().max() <= 0.5 / 255 + 1e-6
    assert Store(store.folder, Grid(2, 3, 64, 32)).reference() is None


def test_a_full_disk_leaves_no_half_tile(store, picture, monkeypatch):
    def save(self, target, **options):
        target.write_bytes(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Image.Image, "save", save)
    with pytest.raises(SmaltiError) as told:
        store.save((0, 0), picture, {}, "")
    assert told.value.exit_code == 1 and "r00_c00.png" in str(told.value)
    assert not list((store.folder / "tiles").iterdir())


def first_format(identity: dict, **changes) -> dict:
    """A record as the first format had it: 0 for what is chosen by itself, no precision."""
    unset = {name: 0 for name, value in identity.items() if value is None}
    flat = {**identity, **unset, "mixed_precision": "auto", **changes}
    del flat["precision"]
    return {"format": 1, "state": "unfinished", "identity": flat}


def write(store: Store, record: dict) -> None:
    store.folder.mkdir()
    (store.folder / "mosaic.json").write_text(json.dumps(record))


@pytest.mark.parametrize("precision", ["no", "bf16"])
def test_the_first_format_is_continued_in_whatever_auto_is_now(store, identity, precision):
    write(store, first_format(identity))
    store.claim({**identity, "precision": precision})
    with pytest.raises(InputError) as told:
        store.claim({**identity, "tile_size": 128})
    assert "tile_size" in str(told.value)


def test_a_precision_that_the_first_format_names_stays(store, identity):
    write(store, first_format(identity, mixed_precision="no"))
    store.claim({**identity, "precision": "no"})
    assert store.recorded("precision") == "no"
    with pytest.raises(InputError) as told:
        store.claim({**identity, "precision": "bf16"})
    assert "precision" in str(told.value)


def test_once_continued_the_precision_stays(store, identity):
    write(store, first_format(identity))
    store.claim(identity)
    store.update(precision="no")
    with pytest.raises(InputError) as told:
        store.claim({**identity, "precision": "bf16"})
    assert "precision" in str(told.value)


def test_a_record_of_the_first_format_becomes_one_of_todays(store, identity):
    settings = {"mosaic": {"tile_size": 0, "guidance_strength": 0.0, "corrections": 0, "seed": 0}}
    write(store, {**first_format(identity), "settings": settings})
    store.update(state="finished")
    record = record_of(store.folder)
    assert record == read_record(store.folder)
    assert record["format"] == 2 and record["identity"]["tile_size"] is None
    kept = {"tile_size": "auto", "guidance_strength": "auto", "corrections": 0, "seed": 0}
    assert record["settings"]["mosaic"] == kept
