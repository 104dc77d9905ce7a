"""Help texts: every setting has one, read from below its field."""

from dataclasses import fields

import pytest

from smalti.configs.base import BaseSettings
from smalti.configs.describe import field_docs
from smalti.configs.mosaic import setting_groups
from smalti.configs.tables import known_facts
from smalti.configs.train import TrainSettings


@pytest.mark.parametrize(("section", "names"), [
    ("base", [entry.name for entry in fields(BaseSettings)]),
    ("train", [entry.name for entry in fields(TrainSettings)]),
    ("mosaic", list(setting_groups())),
])  # fmt: skip
def test_every_setting_has_a_doc_of_one_line(section, names):
    docs = field_docs(section)
    assert sorted(docs) == sorted(names)
    assert all(doc and "\n" not in doc for doc in docs.values())


@pytest.mark.parametrize("section", ["train", "mosaic"])
def test_a_doc_names_every_choice_and_the_word_for_none(section):
    docs = field_docs(section)
    for name, facts in known_facts(section).items():
        for word in (*facts.choices, *([facts.none] if facts.none else [])):
            assert f'"{word}"' in docs[name], name
