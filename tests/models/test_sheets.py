"""Contact sheets, read back as pixels."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from smalti.models.sheets import LABEL, MARGIN, contact_sheet, in_rows, sheet_shows

SIDE = 40
PITCH = SIDE + MARGIN
COLORS = [(255, 0, 0), (0, 255, 0), (0, 0, 255), (10, 20, 30), (200, 100, 50)]


@pytest.fixture
def images() -> torch.Tensor:
    """Five plain images."""
    return (torch.tensor(COLORS) / 255)[:, :, None, None].expand(-1, -1, SIDE, SIDE)


def pixels(path: Path) -> np.ndarray:
    return np.asarray(Image.open(path).convert("RGB"))


def test_pictures_stand_row_by_row_unchanged(images: torch.Tensor, tmp_path: Path):
    contact_sheet(in_rows(images, 3), tmp_path / "sub" / "sheet.png", side=SIDE)
    sheet = pixels(tmp_path / "sub" / "sheet.png")
    for place, color in enumerate(COLORS):
        row, column = divmod(place, 3)
        cell = sheet[row * PITCH :, column * PITCH :][:SIDE, :SIDE]
        assert cell.shape == (SIDE, SIDE, 3) and (cell == color).all()
    assert (sheet[PITCH:, 2 * PITCH :] == 255).all()  # where there is no sixth


def test_pictures_of_any_shape_are_fitted_whole(tmp_path: Path):
    wide = Image.new("RGB", (4 * SIDE, 2 * SIDE), "red")
    contact_sheet([[wide]], tmp_path / "sheet.png", side=SIDE)
    sheet = pixels(tmp_path / "sheet.png")
    assert (sheet[: SIDE // 2, :SIDE] == (255, 0, 0)).all()
    assert (sheet[SIDE // 2 :] == 255).all()


def test_a_long_label_does_not_run_into_its_neighbours(images: torch.Tensor, tmp_path: Path):
    rows, labels = in_rows(images, 3), ["a very long prompt that cannot fit", "", "b"]
    contact_sheet(rows, tmp_path / "sheet.png", columns=labels, side=SIDE)
    written = (pixels(tmp_path / "sheet.png")[:LABEL] < 128).any(axis=(0, 2))
    assert written[:SIDE].any() and written[2 * PITCH :].any()
    assert not written[SIDE : 2 * PITCH].any()


def test_names_of_rows_have_room_of_their_own(images: torch.Tensor, tmp_path: Path):
    rows = in_rows(images[:2], 1)
    contact_sheet(rows, tmp_path / "sheet.png", names=["scale 0.7", "scale 1"], side=SIDE)
    sheet = pixels(tmp_path / "sheet.png")
    left = sheet.shape[1] - PITCH
    for row, color in enumerate(COLORS[:2]):
        label, picture = np.split(sheet[row * PITCH :][:SIDE], [left], axis=1)
        assert (label < 128).any() and (picture[:, :SIDE] == color).all()


def test_a_sheet_says_what_it_shows(images: torch.Tensor, tmp_path: Path):
    assert sheet_shows(tmp_path / "sheet.png") == ""
    contact_sheet(in_rows(images, 5), tmp_path / "sheet.png", side=SIDE, shows="Ärger & co")
    assert sheet_shows(tmp_path / "sheet.png") == "Ärger & co"
