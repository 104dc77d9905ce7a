"""Names of concepts and their words in prompts."""

import re
import unicodedata

import pytest

from smalti.models.words import concept_key, concept_token_names, names_in, put_words


@pytest.mark.parametrize(("name", "key"), [
    ("Sylvie", "sylvie"), ("Harry Potter.v2", "harry-potter-v2"), ("  a_b  ", "a_b"),
    ("Zoë", "zoe"), ("CAT", "cat"), ("cup (1)", "cup-1"), ("10_sks cup", "10_sks-cup"),
    ("Фото cup", "cup"), ("Mu\u0308ller", "muller"),
])  # fmt: skip
def test_a_key_is_what_tokenizers_leave_alone(name: str, key: str):
    assert concept_key(name) == key
    assert concept_key(key) == key


def test_words_are_numbered_keys():
    assert concept_token_names("Sylvie") == ["<sylvie-1>", "<sylvie-2>"]
    assert concept_token_names("Harry Potter.v2", words=1) == ["<harry-potter-v2-1>"]


@pytest.mark.parametrize("name", ["日本", "Фото кружки", "☕️", "", "...", "caf\udce9", "a" * 255])
def test_a_name_of_no_letters_or_too_many_is_told_by_its_hash(name: str):
    key, other = concept_key(name), concept_key(name + "?й")
    for text in (key, other):
        assert re.fullmatch("[a-z0-9][a-z0-9_-]{0,63}", text)
        assert concept_key(text) == text
    assert key == concept_key(name.upper())


def test_different_names_without_letters_have_different_keys():
    names = ["кружка", "чашка", "猫", "犬", "й", "и", "a" * 80, "a" * 81]
    assert len({concept_key(name) for name in names}) == len(names)


def test_a_prompt_names_concepts_as_their_folders_or_their_keys_are_called():
    prompt = "<Käthes Tasse>, <pim> and <kathes-tasse>; <concept> in <color>, <pim-1> <pim-2>"
    assert names_in(prompt) == ("kathes-tasse", "pim")
    shown = put_words(prompt, {"kathes-tasse": "a cup", "pim": "a bird"})
    assert shown == "a cup, a bird and a cup; <concept> in <color>, <pim-1> <pim-2>"


def test_both_spellings_of_an_accent_are_one_name():
    for name in ("Müller", "кружка й", "が"):
        forms = {unicodedata.normalize(form, name) for form in ("NFC", "NFD")}
        assert len(forms) == 2 and len({concept_key(form) for form in forms}) == 1
