"""Names of concepts and their words in prompts."""

import pytest

from smalti.configs.errors import InputError
from smalti.models.words import concept_key, concept_token_names


@pytest.mark.parametrize(("name", "key"), [
    ("Sylvie", "sylvie"), ("Harry Potter.v2", "harry-potter-v2"), ("  a_b  ", "a_b"),
    ("Zoë", "zo"), ("CAT", "cat"),
])  # fmt: skip
def test_a_key_is_what_tokenizers_leave_alone(name: str, key: str):
    assert concept_key(name) == key
    assert concept_key(key) == key


def test_words_are_numbered_keys():
    assert concept_token_names("Sylvie") == ["<sylvie-1>", "<sylvie-2>"]
    assert concept_token_names("Harry Potter.v2", words=1) == ["<harry-potter-v2-1>"]


@pytest.mark.parametrize("name", ["日本", "", "..."])
def test_a_name_of_no_letters_is_refused(name: str):
    with pytest.raises(InputError) as caught:
        concept_key(name)
    assert repr(name) in str(caught.value)
