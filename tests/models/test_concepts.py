"""Concept folders and their adapters are found by name, by path, and without torch."""

from pathlib import Path

import pytest
from refusals import refused

from smalti.models.concepts import concept_folders, find_adapter, find_concept


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
