"""Captions of any length show the concept to the text encoder."""

import pytest
from training import make_concept, prepared

from smalti.train.captions import with_concept_in_reach
from smalti.train.word_attention import word_places

LONG = "red " * 90


@pytest.mark.parametrize(
    ("caption", "moved"),
    [
        ("a, <concept> on a table, b", "<concept> on a table, a, b"),
        ("One. Two; a <concept>, on 3.5 legs.", "a <concept>, One, Two, on 3.5 legs."),
        ("long words and <concept>", "<concept>, long words and <concept>"),
        ("<concept> with long words, b", "<concept>, <concept> with long words, b"),
    ],
)
def test_the_concepts_clause_goes_to_the_front(caption: str, moved: str):
    def fits(text: str) -> bool:
        return text.index("<concept>") < 3 and "long" not in text.split(",")[0]

    assert not fits(caption) and with_concept_in_reach(caption, fits) == moved
    assert with_concept_in_reach(moved, fits) == moved


def test_only_captions_that_are_too_long_are_changed_and_told(tmp_path, settings):
    folder = make_concept(tmp_path / "mug")
    (folder / "p1.txt").write_text(f"{LONG}, a <concept> on a table")
    (folder / "p2.txt").write_text(f"a <concept>, {LONG}")
    told: list[str] = []
    run = prepared(folder, settings, tmp_path / "work", told.append)
    own, moved, fitting = run.data.captions[:3]
    assert own == "a red <concept> on a table" and run.data.captions[3] is None
    assert moved == f"a <concept> on a table, {LONG.strip()}"
    assert fitting == f"a <concept>, {LONG}".strip()
    assert len(told) == 1 and "red red" in told[0]
    places = word_places(run, moved.replace("<concept>", run.adapter.trigger))
    assert places.tolist() == [2, 3]
