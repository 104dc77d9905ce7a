"""Values of TOML, of texts and of options as the type that a setting declares."""

import math

import pytest
from refusals import refused

from smalti.configs.values import from_option, from_text, from_toml

TEXTS = tuple[str, ...]


@pytest.mark.parametrize(("value", "kind", "found"), [
    (3, int, 3), (3, float, 3.0), (0.5, float, 0.5), (True, bool, True), ("x", str, "x"),
    (["a", "b"], TEXTS, ("a", "b")), ("a, b", TEXTS, ("a, b",)), ([], TEXTS, ()),
    (3, int | None, 3), (10**400, float, math.inf),
])  # fmt: skip
def test_types_of_toml(value, kind, found):
    read = from_toml(value, kind, "n", "here")
    assert read == found and type(read) is type(found)


@pytest.mark.parametrize(("value", "kind"), [
    (3.0, int), (True, int), (True, float), ("3", int), (1, bool), ("true", bool), (3, str),
    ([1], TEXTS), ({"a": 1}, TEXTS), (None, int), ("off", float),
])  # fmt: skip
def test_nothing_else_is_converted(value, kind):
    with refused("train.rank", "here.toml"):
        from_toml(value, kind, "train.rank", "here.toml")


@pytest.mark.parametrize(("text", "kind", "found"), [
    ("8", int, 8), ("-1", int, -1), ("1e-4", float, 1e-4), ("3", float, 3.0),
    ("True", bool, True), ("yes", bool, True), ("on", bool, True), ("1", bool, True),
    ("No", bool, False), ("off", bool, False), ("0", bool, False),
    ("off", str, "off"), ("a = b, [c]", str, "a = b, [c]"),
    ("a cat, red", TEXTS, ("a cat, red",)), ('["a", "b"]', TEXTS, ("a", "b")), ("[]", TEXTS, ()),
])  # fmt: skip
def test_texts_of_the_command_line(text, kind, found):
    read = from_text(text, kind, "n", "--set")
    assert read == found and type(read) is type(found)


@pytest.mark.parametrize(("text", "kind"), [
    ("four", int), ("1.5", int), ("", int), ("maybe", bool), ("x", float), ("[a", TEXTS),
    ("[1]", TEXTS),
])  # fmt: skip
def test_texts_that_cannot_be_read(text, kind):
    with refused("train.rank", "--set", text if kind is not TEXTS else ""):
        from_text(text, kind, "train.rank", "--set")


@pytest.mark.parametrize("read", [from_toml, from_text, from_option])
def test_the_word_for_none_is_none_where_there_is_one(read):
    assert read("off", float | None, "n", "here", "off") is None
    with refused('"off"', "auto"):
        read("auto", float | None, "n", "here", "off")


def test_an_option_is_a_text_or_typed_already():
    assert from_option("0.3", float | None, "n", "here", "auto") == 0.3
    assert from_option(0.3, float | None, "n", "here", "auto") == 0.3
    assert from_option(None, float | None, "n", "here", "auto") is None
    assert from_option(["a"], TEXTS, "n", "here") == ("a",)
