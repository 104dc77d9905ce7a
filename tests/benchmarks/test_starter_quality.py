"""The model card's figures: what is said where the training pictures are not there."""

from dataclasses import asdict
from io import StringIO

import pytest
import starter_quality
from rich.console import Console
from starter_bench import Bench, Row
from starter_variety import near_copies


@pytest.fixture
def bench(tmp_path) -> Bench:
    """A model, a corpus and weights that are all missing, so that nothing can be drawn."""
    missing = [tmp_path / name for name in ("model", "corpus.parquet", "lpips.safetensors")]
    return Bench(*missing, tmp_path / "work", None, None)


@pytest.mark.parametrize(
    ("section", "goals"),
    [(starter_quality.vae, [">= 26", "<= 0.06"]), (near_copies, ["<= 10"])],
    ids=["vae", "near copies"],
)
def test_without_the_corpus_rows_say_so(bench: Bench, section, goals: list[str]):
    rows = list(section(bench))
    assert [(row.value, row.passed, row.goal) for row in rows] == [(None, None, g) for g in goals]
    assert all(asdict(row)["value"] is None for row in rows)
    console = Console(width=200, record=True, file=StringIO())
    console.print(starter_quality.table(rows))
    assert console.export_text().count(starter_quality.NEEDS_CORPUS) == len(goals)


@pytest.mark.parametrize(
    ("value", "unit", "shown"),
    [(24.94, "dB", "24.9 dB"), (12345.6, "", "12346 "), (0.5, "", "0.5 ")],
)
def test_values_are_shown_with_three_digits(value: float, unit: str, shown: str):
    assert starter_quality.shown_value(Row("", "", value, unit)) == shown
