"""`mosaic concepts` and its neighbours: where a command lies, and names that could be markup."""

from pathlib import Path

import pytest
from PIL import Image
from typer.testing import CliRunner

from smalti.cli import doctor, main
from smalti.train import judged


def typed(*words: str):
    return CliRunner().invoke(main.app, words, catch_exceptions=False)


@pytest.mark.parametrize(
    ("words", "there"),
    [
        (["concept", "pick", "mug", "3"], '"mosaic concepts pick"'),
        (["concepts", "captions", "mug"], '"mosaic concept captions"'),
        (["concepts", "check", "mug"], '"mosaic concept check"'),
        (["orders", "masks"], '"mosaic concept masks"'),
    ],
)
def test_a_command_of_another_group_is_pointed_at(words, there, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    done = CliRunner().invoke(main.app, words, prog_name="mosaic")
    assert done.exit_code == 2 and there in done.output


def test_a_command_of_no_group_is_as_unknown_as_ever(monkeypatch):
    done = CliRunner().invoke(main.app, ["concept", "bake"], prog_name="mosaic")
    assert done.exit_code == 2 and "bake" in done.output


@pytest.mark.parametrize(
    "words",
    [
        ["concepts", "--concepts-dir", "mine", "pick", "mug", "3"],
        ["concepts", "pick", "mug", "3", "--concepts-dir", "mine"],
    ],
)
def test_a_checkpoint_is_picked_from_the_folder_that_is_named(words, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine/mug").mkdir(parents=True)
    picked = []
    monkeypatch.setattr(judged, "pick", lambda folder, step: picked.append((folder, step)))
    assert typed(*words).exit_code == 0
    assert picked == [(Path("mine/mug"), 3)]


def test_names_in_brackets_are_shown_as_they_are(tmp_path, monkeypatch):
    place = tmp_path / "[bold]"
    folder = place / "concepts" / "mug [old]"
    folder.mkdir(parents=True)
    for number in range(3):
        Image.new("RGB", (64, 64)).save(folder / f"{number} [red].png")
    monkeypatch.chdir(place)
    assert "mug [old]" in typed("concepts").stdout
    told = typed("concept", "check", "mug [old]").stdout
    assert "mug [old]" in told and "0 [red].png" in told
    monkeypatch.setattr(doctor, "EXTRAS", {"nothing-like-it": ("x", doctor.STUDIO)})
    told = "".join(typed("doctor").stdout.split())  # its lines are folded
    assert "[bold]" in told and "smalti[studio]" in told
    assert "[bold]/" in typed("concepts", "--concepts-dir", "[bold]").stdout
