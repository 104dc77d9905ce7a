"""Likeness by hand, with a judge that sees mean colours, and the reading of pictures."""

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from smalti.evaluate.likeness import landmarks, likeness, photo_features
from smalti.evaluate.pictures import read_images, read_tiles, tile_batches, tile_files


class ColorJudge:
    """Sees nothing but an image's mean colour."""

    def image_features(self, images: torch.Tensor) -> torch.Tensor:
        return torch.nn.functional.normalize(images.mean(dim=(2, 3)), dim=-1)


def test_likeness_is_the_mean_over_photos():
    red, grey = torch.tensor([1.0, 0, 0]), torch.ones(3)
    images = torch.stack([red, grey])[:, :, None, None].expand(2, 3, 8, 8)
    photos = torch.stack([red, torch.tensor([0, 1.0, 0])])
    expected = torch.tensor([0.5, 3**-0.5])
    assert torch.allclose(likeness(ColorJudge(), images, photos), expected)


def test_landmarks_of_noise_and_of_photos():
    turn = torch.tensor(0.3)  # radians between neighbours
    photos = torch.stack([torch.stack([a.cos(), a.sin(), 0 * a]) for a in turn * torch.arange(3)])
    mark = landmarks(ColorJudge(), photos)
    assert mark.photos == pytest.approx((2 * math.cos(0.3) + math.cos(0.6)) / 3)
    # Fine noise is grey on average. Coarse noise has all hues, and so scores a little less.
    grey = float((torch.full((3,), 3**-0.5) @ photos.T).mean())
    assert mark.noise == pytest.approx(grey, abs=0.02)


def test_photos_of_any_size_are_embedded_one_by_one(tmp_path: Path):
    Image.new("RGB", (40, 20), (255, 0, 0)).save(tmp_path / "a.png")
    Image.new("RGB", (30, 60), (0, 0, 255)).save(tmp_path / "b.png")
    found = photo_features(ColorJudge(), [tmp_path / "a.png", tmp_path / "b.png"])
    assert torch.allclose(found, torch.tensor([[1.0, 0, 0], [0, 0, 1.0]]))


def test_pictures_are_read_upright(tmp_path: Path):
    exif = Image.Exif()
    exif[0x0112] = 6  # taken with the camera turned: the left column is to be the top row
    Image.new("RGB", (40, 20), (255, 0, 0)).save(tmp_path / "a.jpg", exif=exif)
    (image,) = read_images([tmp_path / "a.jpg"])
    assert image.shape == (3, 40, 20)


def test_tiles_come_row_by_row_in_large_grids_too(tmp_path: Path):
    (tmp_path / "tiles").mkdir()
    tiles = [(2, 0), (2, 1), (10, 3), (100, 0), (100, 12)]
    for value, (row, col) in reversed(list(enumerate(tiles))):
        pixels = np.full((4, 4, 3), 50 * value, np.uint8)
        Image.fromarray(pixels).save(tmp_path / "tiles" / f"r{row:02d}_c{col:02d}.png")
    found = read_tiles(tmp_path)
    assert found.shape == (5, 3, 4, 4)
    assert (found[:, 0, 0, 0] * 255).round().tolist() == [0, 50, 100, 150, 200]
    assert [len(batch) for batch in tile_batches(tmp_path, 2)] == [2, 2, 1]
    assert torch.equal(torch.cat(list(tile_batches(tmp_path, 2))), found)


def test_a_folder_without_a_mosaic_has_no_tiles(tmp_path: Path):
    assert tile_files(tmp_path) == [] and list(tile_batches(tmp_path, 4)) == []
