"""Concept folders and their adapters are found by name, by path, and without torch."""

import unicodedata
from pathlib import Path

import pytest
from refusals import refused

from smalti.models.concepts import concept_folders, find_adapter, find_concept
from smalti.models.words import concept_key


@pytest.fixture
def concepts(tmp_path: Path) -> Path:
    for name in ("sylvie", "eileen", ".hidden"):
        (tmp_path / "concepts" / name).mkdir(parents=True)
    (tmp_path / "concepts" / "README.md").touch()
    (tmp_path / "concepts" / "eileen" / "edlora.safetensors").touch()
    return tmp_path / "concepts"


def test_concepts_are_the_visible_folders(concepts: Path):
    assert [path.name for path in concept_folders(concepts)] == ["eileen", "sylvie"]
    assert concept_folders(concepts / "nowhere") == []


def test_folders_of_other_things_are_no_concepts(concepts: Path):
    """Scripts are none; what is trained, begun, empty or has photos is one."""
    files = {"render/finish.py": 0, "begun/.training/log": 1, "photos/a.heic": 1, "texts/a.txt": 0}
    for name in files:
        (concepts / name).parent.mkdir(parents=True)
        (concepts / name).touch()
    found = {path.name for path in concept_folders(concepts)}
    assert found == {"eileen", "sylvie"} | {
        n.split("/")[0] for n, is_one in files.items() if is_one
    }


@pytest.mark.parametrize("name", ["Фото кружки", "cup (1)", "cup[1]", "10_sks cup", "☕", "Müller"])
def test_any_folder_is_found_by_its_name_and_path_however_it_is_spelled(concepts: Path, name: str):
    folder = concepts / name
    folder.mkdir()
    (folder / "a.jpg").touch()
    for form in ("NFC", "NFD"):
        asked = unicodedata.normalize(form, name)
        for given in (asked, asked.upper(), str(concepts / asked), f"{concepts / asked}/"):
            assert find_concept(given, concepts).samefile(folder)
        assert find_concept(str(concepts / asked), concepts / "elsewhere").samefile(folder)
    assert find_concept(concept_key(name), concepts).samefile(folder)


def test_a_key_of_two_folders_names_neither(concepts: Path):
    for name in ("cup (1)", "cup[1]"):
        (concepts / name).mkdir()
    with refused("cup (1)", "cup[1]"):
        find_concept("cup-1", concepts)


def test_a_concept_is_found_by_name_and_by_path(concepts: Path):
    for name in ("eileen", "Eileen", str(concepts / "eileen")):
        assert find_concept(name, concepts).samefile(concepts / "eileen")
        assert find_adapter(name, concepts).samefile(concepts / "eileen" / "edlora.safetensors")
    adapter = concepts / "eileen" / "edlora.safetensors"
    assert find_adapter(str(adapter), concepts / "elsewhere") == adapter


@pytest.mark.parametrize(
    ("name", "named"),
    [
        ("silvie", ['"silvie"', "sylvie"]),
        ("zzz", ['"zzz"', "eileen", "sylvie"]),
        ("sylvie", ['"sylvie"', "mosaic-train", "sylvie"]),
        ("gone.safetensors", ["gone.safetensors"]),
    ],
)
def test_what_is_not_there_is_explained(concepts: Path, name: str, named: list[str]):
    with refused(*named):
        find_adapter(name, concepts)


def test_an_empty_folder_says_how_to_begin(tmp_path: Path):
    assert not (tmp_path / "concepts").exists()
    with refused("mosaic-train", str(tmp_path / "concepts" / "mug")):
        find_concept("mug", tmp_path / "concepts")


def test_a_photo_is_no_concept(concepts: Path):
    (concepts / "photo.jpg").touch()
    with refused("photo.jpg", "folder"):
        find_concept(str(concepts / "photo.jpg"), concepts)
