"""The validation grid: a row per scale, a column per prompt."""

from pathlib import Path

import torch
from PIL import Image

from smalti.train.validation import save_grid

RED, BLACK = (255, 0, 0), (0, 0, 0)


def test_the_grid_has_a_row_per_scale_and_a_column_per_prompt(tmp_path: Path):
    images = torch.zeros(3, 2, 3, 32, 32)
    images[2, 1, 0] = 1.0  # the last cell is red
    path = tmp_path / "sub" / "grid.png"
    save_grid(images, ["a very long prompt that cannot fit", "b"], path)
    sheet = Image.open(path).convert("RGB")
    reds = [(x, y) for x in range(sheet.width) for y in range(sheet.height)
            if sheet.getpixel((x, y)) == RED]  # fmt: skip
    left, top = min(reds)
    assert len(reds) == 32 * 32
    pitch = sheet.width - left  # of a cell and its margin, the last one's included
    assert 32 <= pitch < 48
    for dx, dy in ((1, 0), (0, 1), (0, 2), (1, 2)):
        assert sheet.getpixel((left + 16 - dx * pitch, top + 16 - dy * pitch)) == BLACK
    assert [found.name for found in path.parent.iterdir()] == ["grid.png"]
