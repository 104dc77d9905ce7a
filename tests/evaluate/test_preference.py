"""The A/B test: what is asked, that nobody can tell who is who, and answers counted by hand."""

import csv
from pathlib import Path

import numpy as np
import pytest
from evaluating import noisy_mosaic
from PIL import Image
from refusals import refused

from smalti.evaluate.preference import (
    FOLDER,
    HEADER,
    QUESTIONS,
    SIDE,
    TILES,
    Question,
    choose_questions,
    preference_sections,
    some_tiles,
    wins,
)
from smalti.evaluate.protocol import OURS, PAIRS, Case, Row, all_cases
from smalti.evaluate.published import PREFERRED
from smalti.evaluate.results import Measured
from smalti.generate.grid import Grid
from smalti.generate.store import Store

GRID = Grid(3, 4, 64, 21)
ROWS = [Row(OURS, "fast"), Row("adain", "fast"), Row("match-and-tone", "fast")]


@pytest.fixture(scope="module")
def drawn(tmp_path_factory) -> tuple[Store, Store]:
    """A dark mosaic, for smalti's, and a bright one."""
    folder = tmp_path_factory.mktemp("drawn")
    return noisy_mosaic(folder / "ours", GRID, 0.3), noisy_mosaic(folder / "theirs", GRID, 0.7)


def measured_of(drawn: tuple[Store, Store], cases: list[Case]) -> list[Measured]:
    return [Measured(case, drawn[case.row.method != OURS], {}) for case in cases]


def named(case: Case, folder: str) -> Measured:
    """A mosaic of which only the folder's name is looked at."""
    return Measured(case, Store(Path(folder), GRID), {})


def test_each_method_is_asked_about_as_often_as_in_the_paper(drawn):
    rows = [*ROWS, Row(OURS, "fine"), Row(OURS, "paper", "w = 0"), Row("adain", "fast", "level 2")]
    asked = choose_questions(measured_of(drawn, all_cases(PAIRS, [0, 1], rows)))
    others = [question.other.case.row for question in asked]
    assert {row: others.count(row) for row in others} == dict.fromkeys(ROWS[1:], QUESTIONS)
    for question in asked:
        assert question.ours.case.row == ROWS[0]
        assert question.ours.case.place == question.other.case.place
    for row in ROWS[1:]:
        pairs = [q.other.case.pair.name for q in asked if q.other.case.row == row]
        assert len(set(pairs)) == QUESTIONS, "other pictures each time"


def test_where_there_are_fewer_mosaics_all_are_asked_about(drawn):
    assert len(choose_questions(measured_of(drawn, all_cases(PAIRS[:2], [0], ROWS)))) == 4
    assert choose_questions(measured_of(drawn, all_cases(PAIRS[:2], [0], ROWS[1:]))) == []


def test_which_of_the_two_is_a_is_settled_and_balanced():
    """By the mosaics alone: 200 questions, about half of them with smalti's as A."""
    case = Case(PAIRS[0], 0, ROWS[0])
    asked = [Question(named(case, f"o{n}"), named(case, f"t{n}")) for n in range(200)]
    first = [question.sides[0] is question.ours for question in asked]
    assert first == [q.sides[0] is q.ours for q in asked] and 70 < sum(first) < 130
    assert len({question.name for question in asked}) == 200


def read(path: Path) -> list[list[str]]:
    with path.open(newline="") as file:
        return list(csv.reader(file))


def test_sheets_show_no_names_and_the_key_says_who_is_who(drawn, tmp_path: Path):
    measured = measured_of(drawn, all_cases(PAIRS[:2], [0], ROWS[:2]))
    assert FOLDER in "\n".join(preference_sections(tmp_path, measured))
    blank, key = (read(tmp_path / FOLDER / name) for name in ("blank.csv", "key.csv"))
    assert tuple(blank[0]) == HEADER and {tuple(row[1:]) for row in blank[1:]} == {("", "")}
    assert len(key) == 3
    for name, pair, seed, a, b in key[1:]:
        assert {a, b} == {row.label for row in ROWS[:2]} and (pair, seed) in {
            (one.name, "0") for one in PAIRS[:2]
        }
        sheet = np.asarray(Image.open(tmp_path / FOLDER / f"{name}.png").convert("L"), float)
        left, right = (sheet[:, sheet.shape[1] - k * SIDE : sheet.shape[1] - (k - 1) * SIDE]
                       for k in (2, 1))  # fmt: skip
        darker = a if np.median(left[50:200]) < np.median(right[50:200]) else b
        assert darker == ROWS[0].label, "ours is the dark one"


def test_near_shows_the_tiles_of_the_middle(drawn):
    shown = np.asarray(some_tiles(measured_of(drawn, [Case(PAIRS[0], 0, ROWS[0])])[0]))
    assert shown.shape == (TILES * 64, TILES * 64, 3)
    tiles = [np.asarray(Image.open(drawn[0].path((0, col)))) for col in (1, 2)]
    assert (shown[:64] == np.concatenate(tiles, 1)).all()


def test_answers_are_counted_by_hand(drawn, tmp_path: Path):
    """Two people; one skips a question's second half, one answers a question of another day."""
    measured = measured_of(drawn, all_cases(PAIRS[:3], [0], ROWS[:2]))
    preference_sections(tmp_path, measured)
    asked = choose_questions(measured)
    ours = {q.name: "AB"[q.sides.index(q.ours)] for q in asked}
    theirs = {name: "AB".replace(side, "") for name, side in ours.items()}
    one, two, three = ours
    first = [(one, ours[one], ours[one]), (two, ours[two].lower(), ""), (three, theirs[three], "")]
    second = [(one, f" {ours[one]} ", theirs[one]), ("0123abcd", "A", "A")]
    for number, lines in enumerate((first, second)):
        path = tmp_path / FOLDER / f"answers-{number}.csv"
        path.write_text("\n".join([",".join(HEADER), *map(",".join, lines), ""]))
    (row,) = [line for line in "\n".join(preference_sections(tmp_path, measured)).splitlines()
              if line.startswith("| adain")]  # fmt: skip
    cells = [cell.strip() for cell in row.strip("|").split("|")]
    assert cells[1:3] == ["75.0 of 4", "50.0 of 2"]
    assert [float(cell) for cell in cells[3:]] == list(PREFERRED["adain"])
    assert (tmp_path / FOLDER / "answers-0.csv").read_text().count("\n") == 4, "left alone"


def test_answers_to_mosaics_that_were_drawn_anew_do_not_count():
    case, other = (Case(PAIRS[0], 0, row) for row in ROWS[:2])
    old, new = (Question(named(case, f"ours-{d}"), named(other, "theirs")) for d in "12")
    answers = [(old.name, "A", "B")]
    assert wins([new], answers) == {ROWS[1].label: ([], [])}
    assert sum(map(len, wins([old], answers)[ROWS[1].label])) == 2


@pytest.mark.parametrize("content", ["question,near\n", "", f"{','.join(HEADER)}\nx,A,C\n",
                                     f"{','.join(HEADER)}\nx,A\n"])  # fmt: skip
def test_answers_that_cannot_be_read_are_named(drawn, tmp_path: Path, content: str):
    (tmp_path / FOLDER).mkdir()
    (tmp_path / FOLDER / "answers-ann.csv").write_text(content)
    with refused("answers-ann.csv"):
        preference_sections(tmp_path, measured_of(drawn, all_cases(PAIRS[:1], [0], ROWS[:2])))

