"""Captions: articles, plurals, templates, backgrounds, subjects."""

import re
from random import Random

import numpy as np
import pytest
import torch

from smalti.configs.errors import InputError
from smalti.starter import captions as words
from smalti.starter.corpus import Corpus


@pytest.mark.parametrize(("phrase", "expected"), [
    ("cat", "a cat"), ("owl", "an owl"), ("anime girl face", "an anime girl face"),
    ("flowers", "flowers"), ("mountains", "mountains"), ("glass", "a glass"),
    ("girl with red hair", "a girl with red hair"), ("cats with hats", "cats with hats"),
    ("red hair", "red hair"), ("cup of coffee", "cup of coffee"), ("", ""),
])
def test_articles(phrase: str, expected: str) -> None:
    assert words.with_article(phrase) == expected


def corpus_of(captions: list[str], alternatives: list[str] | None = None) -> Corpus:
    texts = {"caption": captions, "alt": alternatives or [""] * len(captions)}
    empty = torch.zeros(0)
    return Corpus(empty, empty, texts, np.zeros(len(captions), bool), np.array([0]))


def test_a_picture_belongs_to_the_subject_its_caption_ends_in() -> None:
    corpus = corpus_of(["black cat", "cat with a fish", "caterpillar", "kitten", "cat food",
                        "dog in front of a cat"])
    found = {s.words[0]: s.pictures.tolist() for s in words.find_subjects(corpus, ("often",))}
    assert found == {"cat": [0, 1, 3], "dog": [5]}


def test_an_alternative_caption_counts() -> None:
    corpus = corpus_of(["animal"], ["red thing|tropical fish"])
    (fish,) = words.find_subjects(corpus, ("often",))
    assert fish.words[0] == "fish"
    assert fish.weight == words.facts()["often"]["weight"]


def test_a_caption_that_means_something_else_is_no_subject() -> None:
    corpus = corpus_of(["dog", "hot dog", "guide dog"])
    (dog,) = words.find_subjects(corpus, ("often",))
    assert dog.pictures.tolist() == [0, 2]


@pytest.mark.parametrize("name", ["oftne", "colors"])
def test_an_unknown_table_of_subjects_is_an_input_error(name: str) -> None:
    """`colors` is a table of subjects.toml, but lists no subjects."""
    with pytest.raises(InputError, match=f'"{name}".*often, scenes'):
        words.find_subjects(corpus_of(["cat"]), ("often", name))


def test_few_keeps_the_plainest_of_every_style(monkeypatch: pytest.MonkeyPatch) -> None:
    captions = ["big blue cat", "cat", "kitten", "red cat", "cat", "cat"]
    corpus = corpus_of(captions)
    corpus.texts |= {"style": ["a", "a", "a", "b", "b", "c"],
                     "kind": ["", "", "", "", "", "icon"]}
    table = {"weight": 1.0, "few": 4, "subjects": [["cat", "kitten"]]}
    facts = {"often": table, "others": {"captions": []}, "clear": {}}
    monkeypatch.setattr(words, "facts", lambda: facts)
    (cat,) = words.find_subjects(corpus, ("often",), few=True)
    # Styles take turns: the best of a and b, then the second best; a's third and icons come last.
    assert cat.pictures.tolist() == [1, 4, 2, 3]


def test_few_keeps_clear_pictures_only() -> None:
    """Of "cat" those called "cat face", of anime girls those whose digest is listed; of a subject
    that `clear` does not name, all."""
    clear = words.facts()["clear"]
    assert "cat face" in clear["cat"] and "car" not in clear
    captions = ["cat", "cat", "car", "cat", "anime girl", "anime girl"]
    corpus = corpus_of(captions, ["sitting cat", "cat face", "", "kitty", "", ""])
    corpus.texts |= {"style": ["a"] * 6, "kind": [""] * 6}
    corpus.texts["digest"] = [*"abcde", clear["anime girl face"][0]]
    found = {s.words[0]: s.pictures.tolist() for s in words.find_subjects(corpus, ("often",), True)}
    assert found == {"cat": [1], "car": [2], "anime girl face": [5]}
    every = {s.words[0]: s.pictures.tolist() for s in words.find_subjects(corpus, ("often",))}
    assert every == {"cat": [0, 1, 3], "car": [2], "anime girl face": [4, 5]}


def test_a_synonym_is_used_only_where_it_fits() -> None:
    corpus = corpus_of(["kitten", "black cat"])
    (cat,) = words.find_subjects(corpus, ("often",))
    random = Random(0)
    said = {words.subject_phrase(corpus, 1, cat, random) for _ in range(200)}
    assert said == {"cat", "black cat"}
    said = {words.subject_phrase(corpus, 0, cat, random) for _ in range(200)}
    assert said == {"cat", "kitten"}


def test_an_empty_room_stands_for_rooms_that_nobody_photographed() -> None:
    corpus = corpus_of(["empty room", "cat"])
    subjects = {s.words[0]: s for s in words.find_subjects(corpus, ("often", "scenes"))}
    random = Random(0)
    said = [words.subject_phrase(corpus, 0, subjects["room interior"], random) for _ in range(400)]
    others = [phrase for phrase in said if phrase not in subjects["room interior"].words]
    assert len(others) == pytest.approx(400 * words.STAND_IN_SHARE, rel=0.2)
    assert all(re.fullmatch(r"(.+ )?interior( of a .+ shop)?", phrase) for phrase in others)
    assert len(set(others)) > 50  # of any noun
    assert {words.subject_phrase(corpus, 1, subjects["cat"], random) for _ in range(99)} == {"cat"}


def test_without_a_subject_the_pictures_own_captions_are_used() -> None:
    corpus = corpus_of(["windmill"], ["old mill|mill"])
    said = {words.subject_phrase(corpus, 0, None, Random(i)) for i in range(60)}
    assert said == {"windmill", "old mill", "mill"}


def test_a_style_is_told_before_or_behind() -> None:
    said = {words.in_style("owl", "3d render", Random(i)) for i in range(200)}
    assert {"a 3d render of an owl", "owl, 3d render", "3d render owl"} <= said
    assert all("owl" in phrase and "3d render" in phrase for phrase in said)


def test_dressed() -> None:
    random = Random(1)
    said = [words.dressed("cat", "clipart", random, near=False) for _ in range(3000)]
    bare = ("cat", "a cat", "a photo of a cat", "a picture of a cat", "a clipart of a cat",
            "cat, clipart")
    for caption in bare:
        assert caption in said
    filled = [caption for caption in said if caption not in bare]
    assert len(filled) / len(said) == pytest.approx(words.FILLER_SHARE, abs=0.02)
    assert all(any(w in caption for w in words.facts()["filler"]["before"]) for caption in filled)


def test_a_photo_is_not_called_a_painting() -> None:
    said = {words.dressed("cat", "painting or photo", Random(i), near=False) for i in range(400)}
    assert "cat, photo" in said
    assert not any("painting" in caption for caption in said)


def test_close_ups_say_so() -> None:
    assert all("close-up" in words.dressed("cat", "photo", Random(i), near=True) for i in range(50))


@pytest.mark.parametrize(("function", "noun", "expected"), [
    (words.on_color, "orange", {"cat on an orange background", "cat, orange background",
                                "cat with an orange background"}),
    (words.before_scene, "mountains", {
        "cat in front of mountains", "cat in mountains", "cat with mountains background",
        "cat, mountains in the background", "cat at mountains", "cat and mountains"}),
    (words.on_pattern, "flower", {
        "cat with flower background", "cat surrounded by flowers", "cat under flowers",
        "cat among flowers", "cat with flowers"}),
])
def test_backgrounds(function, noun: str, expected: set[str]) -> None:
    random = Random(2)
    assert {function("cat", noun, random) for _ in range(300)} == expected


def test_colours_have_the_shades_their_names_promise() -> None:
    for name, shades in words.facts()["colors"].items():
        assert all(len(shade) == 3 and 0 <= min(shade) <= max(shade) <= 255 for shade in shades)
        assert name == name.lower()


def test_a_detail_follows_the_phrase() -> None:
    """Some captions go on, always behind the phrase, with words of the lists or of the corpus."""
    corpus = corpus_of(["sesame bun"])
    said = [words.detailed("a cat", corpus, Random(i)) for i in range(2000)]
    longer = [caption for caption in said if caption != "a cat"]
    assert len(longer) / len(said) == pytest.approx(words.DETAIL_SHARE, abs=0.03)
    assert all(caption.startswith("a cat ") for caption in longer)
    filler = words.facts()["filler"]
    assert any(caption == f"a cat {doing}" for caption in longer for doing in filler["doing"])
    assert any(caption.startswith("a cat sitting on ") for caption in longer)
    assert any("sesame bun" in caption for caption in longer)
    assert any(re.search(r"\bdogs?\b", caption) for caption in longer)
    assert not any("  " in caption or caption.endswith(" ") for caption in longer)
