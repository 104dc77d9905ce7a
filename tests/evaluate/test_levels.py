"""Mosaic levels: their grids and references, their table and their sheet."""

from pathlib import Path

import pytest
from evaluating import QUICK, InProcess, ignore, noisy_mosaic, read_rows
from PIL import Image
from refusals import refused

from smalti.evaluate import report, run
from smalti.evaluate.levels import SHEET, at_levels, at_the_grid, level_sections
from smalti.evaluate.mosaics import plan_all
from smalti.evaluate.protocol import OURS, PAIRS, Protocol, Row, all_cases, table_rows
from smalti.evaluate.results import SCORES, Measured
from smalti.evaluate.run import evaluate
from smalti.evaluate.selection import choose_levels
from smalti.generate.grid import Grid
from smalti.models.sheets import MARGIN


def test_every_method_comes_once_more_at_each_level():
    rows = table_rows([OURS, "adain"], ["fast"], ["without guidance"], [2, 4])
    levels = [row for row in rows if row.variant.startswith("level")]
    names = [(row.method, row.variant) for row in levels]
    assert names == [(method, f"level {n}") for n in (2, 4) for method in (OURS, "adain")]
    assert len(rows) == 2 + 4 + 2


def test_levels_are_read_and_others_refused():
    assert choose_levels("") == [] and choose_levels("4, 2,4") == [4, 2]
    for text in ("8", "two", "-1"):
        with refused("--levels", text):
            choose_levels(text)


def test_a_level_has_two_to_its_power_tiles_a_side_and_a_reference_cut_for_them(tmp_path: Path):
    cases = all_cases(PAIRS[:1], [0], table_rows([OURS, "match-and-tone"], ["fast"], (), [1, 3, 4]))
    mosaics, _ = plan_all(Protocol("starter", "2x3"), cases, tmp_path, None)
    sides = {m.case.row.variant: (m.grid.rows, m.grid.cols) for m in mosaics}
    assert sides == {"": (2, 3), "level 1": (2, 2), "level 3": (8, 8), "level 4": (16, 16)}
    for mosaic in mosaics:
        own = mosaic.reference_settings.mosaic.picture.grid
        assert own == f"{mosaic.grid.rows}x{mosaic.grid.cols}"
    assert len({m.reference for m in mosaics}) == 4 and len({m.folder for m in mosaics}) == 8


def test_the_evaluations_own_grid_is_drawn_once(tmp_path: Path):
    cases = all_cases(PAIRS[:1], [0], table_rows([OURS], ["fast"], (), [3]))
    mosaics, _ = plan_all(Protocol("starter", "8x8"), cases, tmp_path, None)
    assert len(mosaics) == 2 and len({mosaic.folder for mosaic in mosaics}) == 1


def test_table_and_sheet_of_levels(tmp_path: Path):
    """Figure 3: a row for every level, the reference and every method beside each other."""
    cases = all_cases(PAIRS[:2], [0], table_rows([OURS, "adain"], ["fast"], (), [0, 1]))
    stores = {n: noisy_mosaic(tmp_path / f"m{n}", Grid(2**n, 2**n, 64, 32)) for n in (0, 1)}
    measured = [
        Measured(case, stores[int(case.row.variant[-1:] or 1)], dict.fromkeys(SCORES, float(n)))
        for n, case in enumerate(cases)
    ]
    assert len(at_levels(measured)) == 8 and len(at_the_grid(measured)) == 4
    text = "\n".join(level_sections(tmp_path, measured))
    own = [n for n, case in enumerate(cases) if case.row == Row("adain", "fast", "level 1")]
    assert f"| adain, fast, level 1 | {sum(own) / 2:.2f} |" in text and f"({SHEET})" in text
    assert "| adain, fast |" not in text
    sheet = Image.open(tmp_path / SHEET)
    assert 3 * (320 + MARGIN) <= sheet.width < 4 * 320 and 2 * 320 <= sheet.height < 3 * 320
    assert level_sections(tmp_path, at_the_grid(measured)) == []


@pytest.mark.slow
def test_an_evaluation_with_levels_and_questions(tiny_sd: Path, tmp_path: Path, monkeypatch):
    monkeypatch.setattr(report, "draw_plots", lambda *_: [])
    monkeypatch.setattr(run, "update_evolution", lambda *_: None)
    protocol = Protocol(str(tiny_sd), "1x2", QUICK)
    cases = all_cases(PAIRS[:1], [0], table_rows([OURS, "adain"], ["fast"], (), [1]))
    evaluate(protocol, cases, tmp_path, ask=True, log=ignore, run=InProcess())
    assert [row["variant"] for row in read_rows(tmp_path)] == ["", "", "level 1", "level 1"]
    text = (tmp_path / "report.md").read_text()
    head, _, rest = text.partition("Figure 3")
    assert "| smalti, fast |" in head and "level 1 |" not in head
    assert "| smalti, fast, level 1 |" in rest and "answers-NAME.csv" in rest
    assert (tmp_path / SHEET).is_file() and (tmp_path / "preference" / "key.csv").is_file()
