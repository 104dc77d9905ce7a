"""A folder's claim: what may go on there, and what is said of the rest."""

import json

import pytest
from refusals import refused

from smalti.configs.claim import as_json, check_claim, differences

WHAT = {"what": "out/ holds a mosaic", "remedy": "Choose another folder."}


def kept(values: dict) -> dict:
    """An identity as it comes back from a folder."""
    return json.loads(json.dumps(values))


def test_the_same_work_goes_on():
    identity = {"steps": 6, "prompt": ("a cat", "a dog"), "strength": None, "weight": 0.1 + 0.2}
    check_claim(kept(identity), identity, **WHAT)
    assert differences(kept(identity), identity) == []


def test_what_differs_is_named_with_both_values():
    with refused("out/", "Choose another folder.", "steps", "6", "9"):
        check_claim({"steps": 6, "seed": 1}, {"steps": 9, "seed": 1}, **WHAT)


def test_the_method_comes_first_and_the_rest_is_counted():
    now = {name: 1 for name in ("alpha", "beta", "gamma", "method", "omega")}
    names = differences({}, now)
    assert names[0] == "method" and sorted(names) == sorted(now)
    with pytest.raises(Exception) as caught:
        check_claim({}, now, **WHAT)
    assert "2 more" in str(caught.value) and "omega" not in str(caught.value)


def test_another_base_is_named_before_what_follows_from_it():
    now = {name: 2 for name in ("alpha", "base", "beta", "gamma", "resolution")}
    with refused("resolution: 128, now 2", "1 more"):
        check_claim({"base": 2, "resolution": 128}, now, **WHAT)


def test_what_an_older_smalti_did_not_know_counts_as_its_default():
    old, now = {"steps": 6}, {"steps": 6, "tint": 0.0}
    check_claim(old, now, **WHAT, defaults={"tint": 0.0, "steps": 50})
    with refused("tint: 0.0, now 0.1"):
        check_claim(old, now | {"tint": 0.1}, **WHAT, defaults={"tint": 0.0})
    with refused("tint"):
        check_claim(old, now, **WHAT)


def test_a_default_does_not_hide_what_was_claimed():
    with refused("steps", "50"):
        check_claim({"steps": 50}, {"steps": 6}, **WHAT, defaults={"steps": 6})


def test_what_today_no_longer_knows_is_passed_over():
    check_claim({"steps": 6, "retired": 1}, {"steps": 6}, **WHAT)


def test_values_as_a_file_holds_them():
    assert as_json({"a": ("b",), "c": None, "d": {"e": (1, 2)}}) == {
        "a": ["b"], "c": None, "d": {"e": [1, 2]},
    }  # fmt: skip
