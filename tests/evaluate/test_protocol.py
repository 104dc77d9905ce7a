"""The rows of the paper's tables, and settings that belong to each mosaic."""

from pathlib import Path

import pytest

from smalti.configs.errors import InputError
from smalti.configs.methods import METHODS
from smalti.evaluate.protocol import (
    ABLATION,
    LPIPS_GUIDED,
    OURS,
    PAIRS,
    PAPER_PRESET,
    SWEEP,
    WEIGHTS,
    Case,
    Protocol,
    Row,
    all_cases,
    table_rows,
)
from smalti.evaluate.selection import choose_names, choose_pairs, choose_seeds

WHOLE = Row(OURS, PAPER_PRESET)


def flat(protocol: Protocol, row: Row, lpips: Path | None = None) -> dict:
    return protocol.settings(Case(PAIRS[0], 0, row), lpips).mosaic.flat()


def differing(row: Row, lpips: Path | None = None) -> set[str]:
    """Settings in which a row differs from the paper's whole method."""
    own, whole = flat(Protocol(), row, lpips), flat(Protocol(), WHOLE)
    return {name for name in own.keys() | whole.keys() if own.get(name) != whole.get(name)}


def test_rows_and_cases_are_counted_once():
    rows = table_rows([OURS, "match"], ["fast", PAPER_PRESET], list(ABLATION))
    assert len(rows) == 4 + len(ABLATION)  # the whole method stands in both parts
    assert WHOLE in rows and len({row.label for row in rows}) == len(rows)
    cases = all_cases(PAIRS[:3], [0, 7], rows)
    assert len(cases) == len(set(cases)) == 3 * 2 * len(rows)
    assert [case.place for case in cases[: len(rows)]] == [(PAIRS[0].name, 0)] * len(rows)


def test_settings_of_a_mosaic_and_of_its_reference():
    protocol = Protocol("starter", "2x3", ("mosaic.tint=0.1",))
    (pair,) = choose_pairs("reef")
    found = flat_of(protocol, pair, Row("match", "paper"))
    assert (found["grid"], found["seed"], found["method"]) == ("2x3", 7, "match")
    assert (found["ref_prompt"], found["tile_prompt"]) == (pair.reference, (pair.tile,))
    assert found["tint"] == 0.1
    one, other = (flat_of(protocol, pair, Row(OURS, name)) for name in ("fast", "paper"))
    assert one["scheduler"] != other["scheduler"]  # but the reference is one and the same
    reference = protocol.reference_settings(pair, 7).mosaic.flat()
    assert (reference["seed"], reference["ref_prompt"]) == (7, pair.reference)
    assert reference["guidance"] is False


def flat_of(protocol: Protocol, pair, row: Row) -> dict:
    return protocol.settings(Case(pair, 7, row)).mosaic.flat()


@pytest.mark.parametrize("method", METHODS)
def test_every_method_gets_the_overrides_that_it_reads(method: str):
    texts = ("mosaic.pool_size=3", "mosaic.method.blend=0.25", "mosaic.guidance_weight=7")
    protocol = Protocol(overrides=(*texts, "mosaic.steps=4", "base.color_adapter=x"))
    found = flat(protocol, Row(method, "paper"))
    assert (found["method"], found["steps"]) == (method, 4)
    followed = METHODS[method].guided
    assert (found["guidance_weight"] == 7) == followed and found.get("pool_size", 3) == 3
    assert found.get("blend", 0.25) == 0.25
    assert protocol.settings(Case(PAIRS[0], 0, Row(method, "fast"))).base.color_adapter == "x"


def test_match_and_tone_places_the_nearest_picture_and_gives_it_the_tone_of_its_block():
    """Section 4.1: feature matching and tone adjustment. Nothing else sets it apart from match."""
    whole, plain = (flat(Protocol(), Row(name, "fast")) for name in ("match-and-tone", "match"))
    assert (whole["method"], whole["tone_adjustment"], plain["tone_adjustment"]) == ("match", 1, 0)
    assert {name for name in whole if whole[name] != plain[name]} == {"tone_adjustment"}
    half = Protocol(overrides=("mosaic.tone_adjustment=0.5",))
    assert flat(half, Row("match", "fast"))["tone_adjustment"] == 0.5
    assert flat(half, Row("match-and-tone", "fast"))["tone_adjustment"] == 1, "else not the paper's"


def test_an_override_that_no_row_reads_is_named():
    protocol = Protocol(overrides=("mosaic.method.pool_size=3",))
    mosaics = {m: protocol.settings(Case(PAIRS[0], 0, Row(m, "fast"))).mosaic for m in METHODS}
    protocol.check_overrides([mosaics[OURS], mosaics["match"]])
    with pytest.raises(InputError) as raised:
        protocol.check_overrides([mosaics[OURS]])
    assert "mosaic.pool_size" in str(raised.value)


def test_one_precision_for_all_rows():
    protocol = Protocol(overrides=("mosaic.machine.mixed_precision=auto",), precision="bf16")
    rows = table_rows(list(METHODS), ["fast", "paper"])
    found = [protocol.settings(case).mosaic for case in all_cases(PAIRS[:1], [0], rows)]
    found.append(protocol.reference_settings(PAIRS[0], 0).mosaic)
    assert {mosaic.machine.mixed_precision for mosaic in found} == {"bf16"}


def test_the_ablation_changes_one_thing_at_a_time():
    changed = {
        variant: differing(Row(OURS, PAPER_PRESET, variant), Path("lpips.safetensors"))
        for variant in ABLATION
    }
    assert changed.pop(LPIPS_GUIDED) == {"guide", "lpips"}
    assert all(len(names) == 1 for names in changed.values())
    assert len(set.union(*changed.values())) == 4  # and each another one


@pytest.mark.parametrize("variant", SWEEP)
def test_the_sweep_changes_the_weight_alone_and_goes_down_to_none(variant: str):
    row = Row(OURS, PAPER_PRESET, variant)
    name, value = ("guidance_weight", WEIGHTS[variant]) if WEIGHTS[variant] else ("guidance", False)
    assert differing(row) == {name} and flat(Protocol(), row)[name] == value


def test_the_weight_without_a_variant_is_the_presets_own():
    assert flat(Protocol(), WHOLE)["guidance_weight"] == WEIGHTS[""]


def test_choices():
    assert [pair.name for pair in choose_pairs("car, cat,car")] == ["car", "cat"]
    assert choose_pairs("all") == list(PAIRS)
    assert choose_names("all", METHODS, "method") == list(METHODS)
    assert choose_names("a b; c", ("a b", "c"), "row", separator=";") == ["a b", "c"]
    assert choose_seeds("3,0,3") == [3, 0]


@pytest.mark.parametrize(
    ("wrong", "tokens"),
    [
        (lambda: choose_pairs("cat,hamberger"), ('"hamberger"', '"hamburger"', "reef")),
        (lambda: choose_names("mach", METHODS, "method"), ('"mach"', '"match"')),
        (lambda: choose_names("", METHODS, "method"), ("--methods", OURS)),
        (lambda: choose_seeds("0,x"), ("--seeds", "0,x")),
        (lambda: choose_seeds("-1"), ("--seeds", "-1")),
        (lambda: Protocol(overrides=("mosaic.seed=3",)), ("mosaic.seed", "--seeds")),
        (lambda: Protocol(overrides=("mosaic.method.pool=x",)), ("mosaic.pool",)),
        (lambda: Protocol(overrides=("mosaic.stpes=3",)), ("mosaic.stpes", "mosaic.steps")),
    ],
)
def test_bad_choices_are_named(wrong, tokens):
    with pytest.raises(InputError) as raised:
        wrong()
    for token in tokens:
        assert token in str(raised.value)
