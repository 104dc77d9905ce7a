"""Captions: articles, plurals, templates, details, backgrounds."""

import re
from collections.abc import Callable
from random import Random

import pytest
from corpora import corpus_of

from smalti.starter import captions
from smalti.starter.subjects import find_subjects, subjects_toml


@pytest.mark.parametrize(("phrase", "expected"), [
    ("cat", "a cat"), ("owl", "an owl"), ("anime girl face", "an anime girl face"),
    ("flowers", "flowers"), ("mountains", "mountains"), ("glass", "a glass"),
    ("girl with red hair", "a girl with red hair"), ("cats with hats", "cats with hats"),
    ("red hair", "red hair"), ("cup of coffee", "cup of coffee"), ("", ""),
])
def test_articles(phrase: str, expected: str) -> None:
    assert captions.with_article(phrase) == expected


def test_a_synonym_is_used_only_where_it_fits() -> None:
    corpus = corpus_of(["kitten", "black cat"])
    (cat,) = find_subjects(corpus, ("common",))
    random = Random(0)
    said = {captions.subject_phrase(corpus, 1, cat, random) for _ in range(200)}
    assert said == {"cat", "black cat"}
    said = {captions.subject_phrase(corpus, 0, cat, random) for _ in range(200)}
    assert said == {"cat", "kitten"}


def test_an_empty_room_stands_for_rooms_that_nobody_photographed() -> None:
    corpus = corpus_of(["empty room", "cat"])
    subjects = {s.words[0]: s for s in find_subjects(corpus, ("common", "scenes"))}
    random, room = Random(0), subjects["room interior"]
    said = [captions.subject_phrase(corpus, 0, room, random) for _ in range(400)]
    others = [phrase for phrase in said if phrase not in room.words]
    assert len(others) == pytest.approx(400 * captions.STAND_IN_SHARE, rel=0.2)
    assert all(re.fullmatch(r"(.+ )?interior( of a .+ shop)?", phrase) for phrase in others)
    assert len(set(others)) > 50  # of any noun
    cats = {captions.subject_phrase(corpus, 1, subjects["cat"], random) for _ in range(99)}
    assert cats == {"cat"}


def test_without_a_subject_the_pictures_own_captions_are_used() -> None:
    corpus = corpus_of(["windmill"], ["old mill|mill"])
    said = {captions.subject_phrase(corpus, 0, None, Random(i)) for i in range(60)}
    assert said == {"windmill", "old mill", "mill"}


def test_a_style_is_told_before_or_behind() -> None:
    said = {captions.in_style("owl", "3d render", Random(i)) for i in range(200)}
    assert {"a 3d render of an owl", "owl, 3d render", "3d render owl"} <= said
    assert all("owl" in phrase and "3d render" in phrase for phrase in said)


def test_templates_keep_the_subject_and_sometimes_name_the_style() -> None:
    random = Random(1)
    said = [captions.in_template("cat", "clipart", random, close_up=False) for _ in range(3000)]
    assert all(re.search(r"\bcat\b", caption) for caption in said)
    assert {"cat", "a cat"} <= set(said)
    assert 0.05 < sum("clipart" in caption for caption in said) / len(said) < 0.3
    fillers = subjects_toml()["filler"]["before"]
    filled = [c for c in said if any(f"{word} cat" in c for word in fillers)]
    assert len(filled) / len(said) == pytest.approx(captions.FILLER_SHARE, abs=0.02)


def test_a_photo_is_not_called_a_painting() -> None:
    style = "painting or photo"
    said = {captions.in_template("cat", style, Random(i), close_up=False) for i in range(400)}
    assert any("photo" in caption for caption in said)
    assert not any("painting" in caption for caption in said)


def test_close_ups_say_so() -> None:
    said = [captions.in_template("cat", "photo", Random(i), close_up=True) for i in range(50)]
    assert all("close-up" in caption for caption in said)


@pytest.mark.parametrize(("function", "noun", "named"), [
    (captions.on_color, "orange", "orange background"),
    (captions.before_scene, "mountains", "mountains"),
    (captions.on_pattern, "flower", "flower"),
])  # fmt: skip
def test_backgrounds_stand_behind_the_phrase(
    function: Callable[[str, str, Random], str], noun: str, named: str
) -> None:
    said = {function("cat", noun, Random(i)) for i in range(300)}
    assert len(said) > 2
    assert all(caption.startswith("cat") and named in caption for caption in said)
    assert not any(f" a {noun}" in caption for caption in said if noun in ("orange", "mountains"))


def test_a_detail_follows_the_phrase() -> None:
    """Some captions go on, always behind the phrase, with words of the lists or of the corpus."""
    corpus = corpus_of(["sesame bun"])
    said = [captions.with_detail("a cat", corpus, Random(i)) for i in range(2000)]
    longer = [caption for caption in said if caption != "a cat"]
    assert len(longer) / len(said) == pytest.approx(captions.DETAIL_SHARE, abs=0.03)
    assert all(caption.startswith("a cat ") for caption in longer)
    filler = subjects_toml()["filler"]
    assert any(caption == f"a cat {doing}" for caption in longer for doing in filler["doing"])
    assert any(caption.startswith("a cat sitting on ") for caption in longer)
    assert any("sesame bun" in caption for caption in longer)
    assert any(re.search(r"\bdogs?\b", caption) for caption in longer)
    assert not any("  " in caption or caption.endswith(" ") for caption in longer)
