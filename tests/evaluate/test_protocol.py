"""The paper's prompts, the rows of its tables, and settings that belong to each mosaic."""

from pathlib import Path

import pytest

from smalti.configs.errors import InputError
from smalti.configs.settings import METHODS
from smalti.generate.evaluate.protocol import (
    ABLATION,
    LPIPS_GUIDED,
    PAIRS,
    SWEEP,
    Job,
    Protocol,
    Row,
    all_jobs,
    choose_names,
    choose_pairs,
    choose_seeds,
    table_rows,
)


def test_the_twelve_pairs_of_figure_11():
    assert len(PAIRS) == len({pair.name for pair in PAIRS}) == 12
    by_tile = {pair.tile: pair.reference for pair in PAIRS}
    assert by_tile["A cat"] == "A cat with flower background"
    assert by_tile["A chair"].startswith("A castle on top of a hill")
    assert by_tile["A robot"] == "A futuristic city at night with flying cars and neon lights"
    assert list(by_tile)[-1] == "A hamburger"


def test_rows_and_jobs_are_counted_once():
    rows = table_rows(["smalti", "match"], ["fast", "paper"], list(ABLATION))
    assert len(rows) == 4 + len(ABLATION)  # smalti on `paper` stands in both parts
    assert Row("smalti", "paper") in rows
    assert rows[-1].label == f"smalti, paper, {list(ABLATION)[-1]}"
    jobs = all_jobs(PAIRS[:3], [0, 7], rows)
    assert len(jobs) == len(set(jobs)) == 3 * 2 * len(rows)


def test_settings_of_a_mosaic_and_of_its_reference():
    protocol = Protocol("starter", "2x3", ("mosaic.tint=0.1",))
    pair = choose_pairs("reef")[0]
    found = protocol.settings(Job(pair, 7, Row("match", "paper"))).mosaic
    assert (found.grid, found.seed, found.method, found.steps) == ("2x3", 7, "match", 50)
    assert (found.ref_prompt, found.tile_prompt) == (pair.reference, ("A fish",))
    assert found.tint == 0.1
    reference = protocol.reference_settings(pair, 7).mosaic
    assert (reference.scheduler, reference.seed) == ("dpm++", 7)  # whatever the row's preset has


def test_the_ablation_changes_one_thing_at_a_time():
    protocol = Protocol()
    whole = vars(protocol.settings(Job(PAIRS[0], 0, Row("smalti", "paper"))).mosaic)
    changed = {}
    for variant in ABLATION:
        job = Job(PAIRS[0], 0, Row("smalti", "paper", variant))
        own = vars(protocol.settings(job, Path("lpips.safetensors")).mosaic)
        changed[variant] = {key for key in own if own[key] != whole[key]}
    assert changed.pop(LPIPS_GUIDED) == {"guide", "lpips"}
    assert list(changed.values()) == [{"noise"}, {"color"}, {"guidance"}, {"guide"}]


def test_the_sweep_has_the_weights_of_figure_9():
    protocol = Protocol()
    found = []
    for row in table_rows(["smalti"], ["paper"], list(SWEEP)):
        mosaic = protocol.settings(Job(PAIRS[0], 0, row)).mosaic
        assert mosaic.guide == "exact"
        found.append(mosaic.guidance_weight if mosaic.guidance else 0)
    assert sorted(found) == [0, 500, 2000, 5000, 10000, 20000]


def test_choices():
    assert [pair.name for pair in choose_pairs("car, cat,car")] == ["car", "cat"]
    assert choose_pairs("all") == list(PAIRS)
    assert choose_names("all", METHODS, "method") == list(METHODS)
    assert choose_seeds("3,0,3") == [3, 0]


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        (lambda: choose_pairs("cat,hamberger"), ('no pair "hamberger"', '"hamburger"', "reef")),
        (lambda: choose_names("mach", METHODS, "method"), ('no method "mach"', '"match"')),
        (lambda: choose_names("", METHODS, "method"), ("--methods is empty", "smalti")),
        (lambda: choose_seeds("0,x"), ("--seeds", "0,x")),
        (lambda: choose_seeds("-1"), ("--seeds",)),
        (lambda: Protocol(overrides=("mosaic.seed=3",)), ("--set mosaic.seed", "--seeds")),
        (lambda: Protocol(overrides=("mosaic.pool=x",)), ("--set mosaic.pool",)),
    ],
)
def test_bad_choices_are_named(wrong, words):
    with pytest.raises(InputError) as raised:
        wrong()
    for word in words:
        assert word in str(raised.value)
