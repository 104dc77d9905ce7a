"""benchmarks/eyes.py: eyes are found where they are, whatever the light, and missed where not."""

from pathlib import Path

import eyes
import numpy as np
import pytest
import torch
from PIL import Image
from typer import Typer
from typer.testing import CliRunner

from smalti.evaluate.pictures import read_images

CONCEPTS = Path(__file__).parents[2] / "concepts"


def two_dots(left: int, top: int) -> torch.Tensor:
    """A light picture [3, 128, 128] with two dark squares of 6 px, 20 px apart."""
    picture = torch.full((3, 128, 128), 0.6)
    for x in (left, left + 20):
        picture[:, top : top + 6, x : x + 6] = 0.2
    return picture


def test_eyes_are_found_at_another_place_and_in_another_light() -> None:
    strip = eyes.details(two_dots(40, 40))[34:52, 34:72]
    moved = two_dots(56, 72)  # by whole cells of 16 px, so that its details are the same
    ramp = torch.linspace(-0.15, 0.15, 128)
    assert eyes.clarity(eyes.details(moved), [strip]) > 0.999
    assert eyes.clarity(eyes.details(moved + ramp), [strip]) > 0.95
    one_eye = moved.clone()
    one_eye[:, :, 70:90] = 0.6
    assert eyes.clarity(eyes.details(one_eye), [strip]) < 0.85


def test_every_box_holds_dark_eyes_beside_each_other() -> None:
    """In each half of a strip something is darker than nearly all of the photo."""
    for concept, boxes in eyes.STRIPS.items():
        photos = [eyes.details(p) for p in read_images(sorted((CONCEPTS / concept).glob("*.jpg")))]
        for photo, strip in zip(photos, eyes.strips(photos, boxes), strict=True):
            for half in () if strip is None else np.array_split(strip, 2, axis=1):
                assert half.min() < np.quantile(photo, 0.1)


@pytest.mark.slow
def test_the_table_tells_photos_from_noise(tmp_path: Path) -> None:
    (tmp_path / "tiles").mkdir()
    for number in (2, 3):  # with open eyes
        photo = Image.open(CONCEPTS / "sylvie" / f"sylvie_{number:02d}.jpg")
        photo.save(tmp_path / "tiles" / f"{number}.png")
    app = Typer()
    app.command()(eyes.main)
    shown = CliRunner().invoke(app, ["sylvie", str(tmp_path)]).output.splitlines()
    mean = {line.split("│")[1].split()[0]: line.split("│")[2] for line in shown if "│" in line}
    assert float(mean["noise"]) < 0.2 < 0.5 < float(mean["photos"])
    assert float(list(mean.values())[-1]) == pytest.approx(1, abs=1e-3)


def test_eyes_of_other_concepts_are_not_known(tmp_path: Path) -> None:
    app = Typer()
    app.command()(eyes.main)
    done = CliRunner().invoke(app, ["rex", str(tmp_path)])
    assert done.exit_code == 2 and "rex" in done.output and "eileen" in done.output


def test_a_folder_without_tiles_is_named(tmp_path: Path) -> None:
    app = Typer()
    app.command()(eyes.main)
    done = CliRunner().invoke(app, ["sylvie", str(tmp_path)])
    assert done.exit_code == 2 and tmp_path.name[:20] in done.output.replace("\n", "")
