"""Which pictures of a corpus show which subject."""

import pytest
from corpora import corpus_of

from smalti.configs.errors import InputError
from smalti.starter import subjects
from smalti.starter.subjects import find_subjects, subjects_toml


def test_a_picture_belongs_to_the_subject_its_caption_ends_in() -> None:
    corpus = corpus_of(["black cat", "cat with a fish", "caterpillar", "kitten", "cat food",
                        "dog in front of a cat"])
    found = {s.words[0]: s.pictures.tolist() for s in find_subjects(corpus, ("common",))}
    assert found == {"cat": [0, 1, 3], "dog": [5]}


def test_an_alternative_caption_counts() -> None:
    corpus = corpus_of(["animal"], ["red thing|tropical fish"])
    (fish,) = find_subjects(corpus, ("common",))
    assert fish.words[0] == "fish"
    assert fish.weight == subjects_toml()["common"]["weight"]


def test_a_caption_that_means_something_else_is_no_subject() -> None:
    corpus = corpus_of(["dog", "hot dog", "guide dog"])
    (dog,) = find_subjects(corpus, ("common",))
    assert dog.pictures.tolist() == [0, 2]


@pytest.mark.parametrize("name", ["comon", "colors"])
def test_an_unknown_table_of_subjects_is_an_input_error(name: str) -> None:
    """`colors` is a table of subjects.toml, but lists no subjects."""
    with pytest.raises(InputError) as told:
        find_subjects(corpus_of(["cat"]), ("common", name))
    assert f'"{name}"' in str(told.value) and "common" in str(told.value)


def test_plainest_only_lets_styles_take_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    captions = ["big blue cat", "cat", "kitten", "red cat", "cat", "cat"]
    corpus = corpus_of(captions)
    corpus.texts |= {"style": ["a", "a", "a", "b", "b", "c"],
                     "kind": ["", "", "", "", "", "icon"]}
    table = {"weight": 1.0, "picture_limit": 4, "subjects": [["cat", "kitten"]]}
    tables = {"common": table, "misleading": {"captions": []}, "preferred": {}}
    monkeypatch.setattr(subjects, "subjects_toml", lambda: tables)
    (cat,) = find_subjects(corpus, ("common",), plainest_only=True)
    # Styles take turns: the best of a and b, then the second best; a's third and icons come last.
    assert cat.pictures.tolist() == [1, 4, 2, 3]


def test_plainest_only_keeps_preferred_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    """By a name or by a digest; of a subject that names none, all."""
    preferred = {"cat": ["cat face"], "anime girl face": ["abcd"]}
    tables = subjects_toml() | {"preferred": preferred}
    monkeypatch.setattr(subjects, "subjects_toml", lambda: tables)
    captions = ["cat", "cat", "car", "cat", "anime girl", "anime girl"]
    corpus = corpus_of(captions, ["sitting cat", "cat face", "", "kitty", "", ""])
    corpus.texts |= {"style": ["a"] * 6, "kind": [""] * 6}
    corpus.texts["digest"] = [*"12345", "abcd"]
    chosen = find_subjects(corpus, ("common",), plainest_only=True)
    found = {subject.words[0]: subject.pictures.tolist() for subject in chosen}
    assert found == {"cat": [1], "car": [2], "anime girl face": [5]}
    every = {s.words[0]: s.pictures.tolist() for s in find_subjects(corpus, ("common",))}
    assert every == {"cat": [0, 1, 3], "car": [2], "anime girl face": [4, 5]}
