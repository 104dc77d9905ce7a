"""Captions for images that have none: enough of them, each with the concept once."""

import pytest

from smalti.train.templates import caption_templates, fill, kind_of


def test_people_animals_and_things_are_told_apart():
    assert (kind_of("girl"), kind_of("Cat "), kind_of("mug")) == ("person", "animal", "thing")
    assert len({caption_templates(word) for word in ("girl", "cat", "mug")}) == 3


@pytest.mark.parametrize("word", ["girl", "cat", "mug"])
def test_every_template_shows_the_concept_once(word: str):
    templates = caption_templates(word)
    assert len(set(templates)) == len(templates) >= 8
    assert all(template.count("<concept>") == 1 for template in templates)


def test_captions_are_filled_with_the_words_and_the_class_word():
    assert fill("a <concept>, a {class_word}", "<x-1> <x-2>", "cat") == "a <x-1> <x-2>, a cat"
