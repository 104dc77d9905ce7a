"""Alternatives in braces: which prompts they stand for."""

from contextlib import nullcontext

import pytest
from refusals import refused

from smalti.configs.mosaic import PictureSettings, mosaic_settings
from smalti.generate.alternatives import check_kinds, choices, spoken
from smalti.generate.methods.pool import pool_subjects
from smalti.generate.subjects import fill_defaults


@pytest.mark.parametrize(("prompt", "said"), [
    ("a cat", ["a cat"]),
    ("a  cat {sitting}", ["a  cat {sitting}"]),
    ("a {red|green} cat", ["a red cat", "a green cat"]),
    ("a cat {| asleep}, {near|far}", ["a cat , near", "a cat , far", "a cat asleep, near",
                                      "a cat asleep, far"]),
])  # fmt: skip
def test_every_choice_is_spoken(prompt, said):
    assert [spoken(prompt, words) for words in choices(prompt)] == said


@pytest.mark.parametrize("prompt", ["a {red|green cat", "a red|green} cat", "a {{a|b}|c} cat"])
def test_braces_that_do_not_match_are_refused(prompt):
    with refused(prompt):
        choices(prompt)


@pytest.mark.parametrize(("prompts", "concepts", "named"), [
    (("{a|b} {c|d}",), 64, None),
    (("{a|b} {c|d}",), 65, "260"),
    (("{a|b}" * 60,), 0, str(2**60)),
    (("a {b|c",), 0, "a {b|c"),
])  # fmt: skip
def test_too_many_kinds_are_refused_before_anything_is_drawn(prompts, concepts, named):
    with refused(named) if named else nullcontext():
        check_kinds(prompts, concepts)


def test_a_reference_and_a_pool_are_told_no_braces():
    filled = fill_defaults(PictureSettings(tile_prompt=("a {red|green} cat",)))
    assert filled.ref_prompt == "a red cat" and filled.tile_prompt == ("a {red|green} cat",)
    pool = pool_subjects(mosaic_settings(
        method="tone", tile_prompt=("a {red|green} cat",), pool_size=3
    ))  # fmt: skip
    assert [subject.prompt for subject in pool] == ["a red cat", "a green cat", "a red cat"]
