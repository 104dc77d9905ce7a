"""benchmarks/eyes.py: eyes are found where they are, whatever the light, and missed where not."""

from pathlib import Path

import eyes
import numpy as np
import pytest
import torch
from click.testing import Result
from PIL import Image
from typer import Typer
from typer.testing import CliRunner

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
    for concept in eyes.all_boxes():
        photos, strips = eyes.read_photos(CONCEPTS / concept)
        for photo, strip in zip(photos, strips, strict=True):
            for half in () if strip is None else np.array_split(strip, 2, axis=1):
                assert half.min() < np.quantile(photo, 0.1)


@pytest.mark.slow
def test_the_table_tells_photos_from_noise(tmp_path: Path) -> None:
    (tmp_path / "tiles").mkdir()
    for number in (2, 3):  # with open eyes
        photo = Image.open(CONCEPTS / "sylvie" / f"sylvie_{number:02d}.jpg")
        photo.save(tmp_path / "tiles" / f"{number}.png")
    shown = look_at(CONCEPTS / "sylvie", tmp_path).output.splitlines()
    mean = {line.split("│")[1].split()[0]: line.split("│")[2] for line in shown if "│" in line}
    assert float(mean["noise"]) < 0.2 < 0.5 < float(mean["photos"])
    assert float(list(mean.values())[-1]) == pytest.approx(1, abs=1e-3)


def look_at(*arguments: object) -> Result:
    """What the command answers, in the checkout."""
    app = Typer(pretty_exceptions_enable=False)
    app.command()(eyes.main)
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


@pytest.fixture
def mosaic(tmp_path: Path) -> Path:
    """The folder of a mosaic of two tiles, both photos of pim."""
    (tmp_path / "tiles").mkdir()
    for number in (1, 2):
        photo = Image.open(CONCEPTS / "pim" / f"pim_{number:02d}.jpg")
        photo.save(tmp_path / "tiles" / f"{number}.png")
    return tmp_path


def test_another_concepts_landmark_is_read_from_a_file(mosaic: Path, monkeypatch):
    monkeypatch.chdir(CONCEPTS.parent)
    boxes = mosaic / "beaks.toml"
    boxes.write_text("bolt = [[0.1, 0.1, 0.5, 0.5]]\n")
    unknown = look_at("pim", mosaic, "--landmarks", boxes)
    assert unknown.exit_code == 2 and "pim" in unknown.stderr
    boxes.write_text("pim = [[0.1, 0.1, 0.5, 0.5]]\n")
    too_few = look_at("pim", mosaic, "--landmarks", boxes)
    assert too_few.exit_code == 2 and "15" in too_few.stderr
    boxes.write_text(f"pim = [{'[0.3, 0.3, 0.8, 0.7], ' * 15}]\n")
    assert look_at("pim", mosaic, "--landmarks", boxes).exit_code == 0


def test_a_folder_without_tiles_is_named(tmp_path: Path, monkeypatch):
    monkeypatch.chdir(CONCEPTS.parent)
    done = look_at("sylvie", tmp_path / "none")
    assert done.exit_code == 2 and "none" in done.stderr
