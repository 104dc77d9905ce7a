"""A user's folder of pictures: which files count, and which cannot serve."""

import shutil

import pytest
from PIL import Image

from smalti.configs.errors import InputError
from smalti.generate.methods.pictures import check_pictures, picture_files, pictures_hash


def test_only_pictures_count(pool):
    """Not notes, nor what another system leaves beside a picture, nor a folder."""
    names = [path.name for path in picture_files(str(pool))]
    assert names == [f"{number:02d}.png" for number in range(20)]


def test_the_hash_is_of_names_and_contents_not_of_the_place(pool, tmp_path):
    copy = tmp_path / "pictures"
    shutil.copytree(pool, copy)

    def hashed(folder) -> str:
        return pictures_hash(picture_files(str(folder)))

    assert hashed(copy) == hashed(pool)
    (copy / "00.png").rename(copy / "99.png")
    renamed = hashed(copy)
    Image.new("RGB", (64, 64)).save(copy / "99.png")
    assert len({hashed(pool), renamed, hashed(copy)}) == 3


def test_what_cannot_serve_is_named(tmp_path):
    with pytest.raises(InputError) as told:
        picture_files(str(tmp_path / "none"))
    assert "none" in str(told.value)
    with pytest.raises(InputError) as told:
        picture_files(str(tmp_path))
    assert "mosaic.pool" in str(told.value)
    Image.new("RGB", (20, 50)).save(tmp_path / "small.png")
    with pytest.raises(InputError) as told:
        check_pictures(str(tmp_path))
    assert "small.png" in str(told.value) and "20x50" in str(told.value)
    (tmp_path / "small.png").write_text("no picture")
    with pytest.raises(InputError) as told:
        check_pictures(str(tmp_path))
    assert "small.png" in str(told.value)
