"""Markers: what is between them is replaced, all else stays, broken ones are refused."""

import subprocess
from pathlib import Path

import pytest
from figure_list import FIGURES, MEASUREMENTS
from figure_pages import spans, write_figure

from smalti.configs.errors import InputError

ROOT = Path(__file__).parents[2]
BEFORE = "# Häading\r\n\r\nwords <!-- a comment --> \t\n".encode() + b"\xff\xfe not text\n"
AFTER = b"\n\n<!-- figure: two -->old<!-- /figure -->"
PAGE = BEFORE + b"<!-- figure: one -->\n| a |\r\n<!-- /figure -->" + AFTER


def pages() -> list[Path]:
    """Every page that git knows; outside a checkout there is nothing to look at."""
    listing = subprocess.run(["git", "ls-files", "-z", "*.md"], cwd=ROOT, capture_output=True)
    if listing.returncode:
        pytest.skip("not a git checkout")
    return [ROOT / name for name in listing.stdout.decode().split("\0") if name]


def test_every_marker_has_a_figure_and_every_figure_a_marker():
    marked = {(page.relative_to(ROOT).as_posix(), name) for page in pages() for name in spans(page)}
    assert marked == {(figure.page, figure.name) for figure in FIGURES}
    assert len({figure.name for figure in FIGURES}) == len(FIGURES)


def test_every_figure_is_measured_and_every_measurement_shown():
    assert {figure.measurement for figure in FIGURES} == {one.name for one in MEASUREMENTS}


def test_every_picture_stands_on_a_page():
    texts = "\n".join(page.read_text(encoding="utf-8") for page in pages())
    targets = [picture.target for figure in FIGURES for picture in figure.pictures]
    assert len(set(targets)) == len(targets)
    for target in targets:
        assert Path(target).name in texts and (ROOT / target).is_file()


def test_the_rest_of_a_page_stays_as_it_is(tmp_path):
    page = tmp_path / "page.md"
    page.write_bytes(PAGE)
    write_figure(page, "one", "| ö |\n| 2 |\n")
    expected = "<!-- figure: one -->\n\n| ö |\n| 2 |\n\n<!-- /figure -->".encode()
    assert page.read_bytes() == BEFORE + expected + AFTER
    write_figure(page, "one", "| ö |\n| 2 |")
    assert page.read_bytes() == BEFORE + expected + AFTER, "the same again"
    assert [path.name for path in tmp_path.iterdir()] == ["page.md"]


@pytest.mark.parametrize(
    ("broken", "told"),
    [
        (b"<!-- figure: one -->\n", "one"),  # never closed
        (b"<!-- figure: one --><!-- figure: two --><!-- /figure -->", "line 1"),  # one in another
        (b"\n\n<!-- /figure -->", "line 3"),
        (b"<!-- figure: one --><!-- /figure -->" * 2, "figure: one"),
        (b"<!-- figure one --><!-- /figure -->", "figure one"),
        (b"<!--figure: one --><!-- /figure -->", "line 1"),
        (b"<!-- figure: One --><!-- /figure -->", "One"),
        (b"<!-- figure: one --><!-- / figure -->", "/ figure"),
        (b"<!-- figure: one <!-- /figure -->", "line 1"),
        (b"no marker at all", "figure: one"),
    ],
)
def test_a_broken_marker_is_refused_and_nothing_written(tmp_path, broken: bytes, told: str):
    page = tmp_path / "page.md"
    page.write_bytes(broken)
    with pytest.raises(InputError) as raised:
        write_figure(page, "one", "new")
    assert told in str(raised.value) and "page.md" in str(raised.value)
    assert page.read_bytes() == broken


def test_a_missing_page_is_named(tmp_path):
    with pytest.raises(InputError, match=r"missing\.md"):
        spans(tmp_path / "missing.md")
