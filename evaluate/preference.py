"""The paper's A/B test (its Table 2): sheets that ask people, and what they answered.

A question shows a mosaic of smalti's and one of another method on the same reference, once whole
and small (from afar) and once as a few tiles (near). Which of them is A depends on the question's
name alone, a hash of the two mosaics: it is the same in every run, and answers find their question
whatever else is asked.
"""

import csv
import hashlib
import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from ..configs.errors import InputError
from ..configs.files import write_text
from ..models.sheets import contact_sheet
from .pictures import mosaic_picture, reference_picture
from .protocol import OURS
from .published import PREFERRED
from .results import Measured

FOLDER = "preference"
QUESTIONS = 3  # for each method, as in the paper (section 4.3)
TILES = 2  # rows and columns of tiles that are shown near
SIDE = 480  # px of a picture on a sheet
HEADER = ("question", "from_afar", "near")
TITLE = "## What people prefer (paper, Table 2)"
ASKING = (
    f"[{FOLDER}/]({FOLDER}/) holds {{count}} questions, a sheet each. Copy `blank.csv` to "
    "`answers-NAME.csv` for every person asked and write A or B into its columns: which mosaic is, "
    "from afar, nearer to the reference, and whose tiles are better pictures of the prompt. "
    "`key.csv` says which is which. The same command then counts."
)


@dataclass(frozen=True)
class Question:
    """Two mosaics of one reference."""

    ours: Measured
    other: Measured

    @property
    def name(self) -> str:
        """Eight hex digits of the two mosaics, whose folders' names change with all they show."""
        folders = (self.ours.store.folder.name, self.other.store.folder.name)
        return hashlib.sha256(repr((*self.ours.case.place, *folders)).encode()).hexdigest()[:8]

    @property
    def sides(self) -> tuple[Measured, Measured]:
        """What is A and what is B."""
        pair = (self.ours, self.other)
        return pair if int(self.name, 16) % 2 else pair[::-1]


def choose_questions(measured: Sequence[Measured]) -> list[Question]:
    """QUESTIONS on each method beside smalti with the same preset, spread over pairs and seeds."""
    plain = [one for one in measured if not one.case.row.variant]
    found = []
    for own in dict.fromkeys(one.case.row for one in plain if one.case.row.method == OURS):
        ours = {one.case.place: one for one in plain if one.case.row == own}
        rows = dict.fromkeys(one.case.row for one in plain if one.case.row.preset == own.preset)
        for row in (row for row in rows if row.method != OURS):
            both = [Question(ours[m.case.place], m) for m in plain if m.case.row == row]
            found += _spread(both, QUESTIONS)
    return sorted(found, key=lambda question: question.name)


def _spread(questions: Sequence[Question], count: int) -> list[Question]:
    """As many of them as are there, up to `count`, evenly spaced."""
    count = min(count, len(questions))
    return [questions[(2 * n + 1) * len(questions) // (2 * count)] for n in range(count)]


def ask(out: Path, questions: Sequence[Question]) -> None:
    """Write sheets, the form to fill in and its key into `out`/FOLDER; answers are left alone."""
    folder = out / FOLDER
    for question in questions:
        write_question(folder / f"{question.name}.png", question)
    _write_csv(folder / "blank.csv", HEADER, [(one.name, "", "") for one in questions])
    key = [(one.name, one.ours.case.pair.name, one.ours.case.seed,
            *(side.case.row.label for side in one.sides)) for one in questions]  # fmt: skip
    _write_csv(folder / "key.csv", ("question", "pair", "seed", "A", "B"), key)


def write_question(path: Path, question: Question) -> None:
    """Write a question's sheet: reference, A and B from afar; below them some tiles of A and B."""
    pair, sides = question.ours.case.pair, question.sides
    nothing = Image.new("RGB", (SIDE, SIDE), "white")
    afar = [reference_picture(sides[0].store), *(mosaic_picture(one.store) for one in sides)]
    near = [nothing, *(some_tiles(one) for one in sides)]
    names = ["from afar", f"near: {pair.tile}"]
    contact_sheet([afar, near], path, columns=("reference", "A", "B"), names=names, side=SIDE)


def some_tiles(measured: Measured) -> Image.Image:
    """TILES x TILES tiles from the middle of a mosaic, as they were drawn."""
    grid = measured.store.grid
    rows, cols = min(TILES, grid.rows), min(TILES, grid.cols)
    top, left = (grid.rows - rows) // 2 * grid.tile, (grid.cols - cols) // 2 * grid.tile
    part = measured.store.canvas()[top : top + rows * grid.tile, left : left + cols * grid.tile]
    return Image.fromarray(part)


def read_answers(folder: Path) -> Iterator[tuple[str, str, str]]:
    """Question, from afar and near ("A", "B" or "") of every line that people filled in.

    Raises InputError for a file with other columns or words.
    """
    for path in sorted(folder.glob("answers*.csv")):
        with path.open(encoding="utf-8-sig", newline="") as file:
            header, *lines = list(csv.reader(file)) or [[]]
        if tuple(header) != HEADER:
            raise InputError(f"{path} must begin with the line {','.join(HEADER)}.")
        for number, line in enumerate(filter(None, lines), 2):
            words = [word.strip().upper() for word in line[1:]]
            if len(words) != 2 or not {*words} <= {"A", "B", ""}:
                raise InputError(f"{path}, line {number}: an answer is A, B or nothing.")
            yield line[0].strip(), words[0], words[1]


def wins(
    questions: Sequence[Question], answers: Sequence[tuple[str, str, str]]
) -> dict[str, tuple[list[bool], list[bool]]]:
    """By the other method's label: whether smalti was preferred, from afar and near, one each."""
    by_name = {question.name: question for question in questions}
    found = {one.other.case.row.label: ([], []) for one in questions}
    for name, *words in answers:
        if question := by_name.get(name):
            ours = "AB"[question.sides.index(question.ours)]
            for won, word in zip(found[question.other.case.row.label], words, strict=True):
                won.extend([word == ours] if word else [])
    return found


def preference_sections(out: Path, measured: Sequence[Measured]) -> list[str]:
    """Ask, and give the report's part about it: how to answer, and what was answered.

    Nothing where smalti stands beside no other method. Raises InputError as `read_answers` does.
    """
    questions = choose_questions(measured)
    if not questions:
        return []
    ask(out, questions)
    told = wins(questions, list(read_answers(out / FOLDER)))
    return [TITLE, ASKING.format(count=len(questions)), *_table(questions, told)]


def _table(questions: Sequence[Question], told: Mapping[str, Sequence[list[bool]]]) -> list[str]:
    methods = {one.other.case.row.label: one.other.case.row.method for one in questions}
    lines = []
    for label, parts in told.items():
        if any(parts):
            paper = PREFERRED.get(methods[label])
            own = (f"{100 * sum(part) / len(part):.1f} of {len(part)}" if part else "–"
                   for part in parts)  # fmt: skip
            theirs = (f"{value:.1f}" for value in paper) if paper else ("–", "–")
            lines.append(f"| {' | '.join([label, *own, *theirs])} |")
    head = "| smalti preferred to, % | from afar | near | paper, from afar | paper, near |"
    return ["\n".join([head, "|---|---:|---:|---:|---:|", *lines])] if lines else []


def _write_csv(path: Path, header: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerows([header, *rows])
    write_text(path, text.getvalue())
