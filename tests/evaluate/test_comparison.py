"""What the report says of smalti against the others, and of the paper's order."""

import re
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import spearmanr

from smalti.configs.methods import METHODS
from smalti.evaluate.comparison import COLUMNS, comparison_tables, paired_difference
from smalti.evaluate.protocol import COMPOSED, PAIRS, Case, Row
from smalti.evaluate.published import PREFERRED, PUBLISHED, order_line, order_tables
from smalti.evaluate.results import SCORES

OURS = {
    "adain": 20.0, "noise-blend": 12.5, "img2img": 15.0, "smalti": 30.0, "color-adapter": 11.0,
}  # fmt: skip


def scored(**changes: float) -> dict[str, float]:
    return {**{column.name: 1.0 for column in COLUMNS}, **changes}


def cells_of(table: str) -> list[list[str]]:
    return [[cell.strip() for cell in line.split("|")[1:-1]] for line in table.splitlines()]


def test_orders_and_their_correlation_against_scipy():
    line = order_line("PSNR@64", {m: {"psnr_64": value} for m, value in OURS.items()})
    _, title, paper, here, ranks, _ = (cell.strip() for cell in line.split("|"))
    assert title == "PSNR@64"
    assert [part.split()[0] for part in here.split(", ")] == [
        "smalti", "adain", "img2img", "noise-blend", "color-adapter",
    ]  # fmt: skip
    assert [part.split()[0] for part in paper.split(", ")] == [
        "smalti", "img2img", "adain", "noise-blend", "color-adapter",
    ]  # fmt: skip
    theirs = [PUBLISHED[method]["psnr_64"] for method in OURS]
    assert float(ranks) == pytest.approx(spearmanr(theirs, list(OURS.values()))[0], abs=0.005)


def test_of_errors_the_least_is_best():
    means = {m: {"lpips_64": 1 / value} for m, value in OURS.items()}
    here = order_line("LPIPS@64", means).split("|")[3]
    assert here.split()[0] == "smalti" and here.split(", ")[-1].startswith("color-adapter")


def test_what_is_missing_is_no_part_of_an_order():
    means = {m: {"lpips_64": "weights missing"} for m in OURS}
    assert order_line("LPIPS@64", means) == ""
    level = order_line("pyramid level 2", {m: {"pyramid_2": 1.0} for m in PUBLISHED})
    assert "factorized" not in level  # the paper's Table 6 has no such row


def test_one_table_for_every_preset_with_enough_methods():
    rows = [Row(method, "fast") for method in OURS] + [Row("smalti", "fine")]
    cells = dict.fromkeys(SCORES, 1.0)
    (table,) = order_tables({row.label: cells for row in rows}, rows)
    assert "`fast`" in table.splitlines()[0] and "fine" not in table


def test_differences_are_taken_on_the_same_reference():
    """The peer is better on one reference by as much as references differ: no noise at all."""
    fast, peer = Row("smalti", "fast"), Row("adain", "fast")
    measured = [
        (Case(pair, seed, row), scored(psnr_64=10.0 * seed + index - 2.5 * (row == peer),
                                      starter_clip=0.3 if row == fast else 0.4))
        for index, pair in enumerate(PAIRS[:3]) for seed in (0, 1) for row in (fast, peer)
    ]  # fmt: skip
    (table,) = comparison_tables(measured)
    head, _, line = cells_of(table)
    assert head[0] == "smalti, fast, against" and head[-1] == "share"
    assert line[0] == "adain" and line[1] == "+2.50 ± 0.00" and line[-1] == "75%"


def test_rows_of_other_presets_and_variants_stay_out():
    rows = [Row("smalti", "fast"), Row("smalti", "paper"), Row("smalti", "paper", "w = 500"),
            Row("adain", "fast"), Row("img2img", "fast", "level 2")]  # fmt: skip
    measured = [(Case(PAIRS[0], 0, row), scored()) for row in rows]
    (table,) = comparison_tables(measured)
    assert [line[0] for line in cells_of(table)[2:]] == ["adain"]


def test_noise_is_twice_the_standard_error():
    values = [1.0, 2.0, 4.0, 9.0]
    error = 2 * np.std(values, ddof=1) / np.sqrt(4)
    assert paired_difference(values, 3) == f"+4.000 ± {error:.3f}"
    assert paired_difference([-0.5], 2) == "-0.50"


ROOT = Path(__file__).parents[2]
PAPERS = [folder / "shared/paper/generative-photomosaic.txt" for folder in (ROOT, ROOT.parent)]
PAPER = next(filter(Path.is_file, PAPERS), PAPERS[0])
TITLES = {
    "Match & Tone [16]": "match-and-tone", "Color ControlNet [21]": "color-adapter",
    "AdaIN [11]": "adain", "NoiseBlend [17]": "noise-blend", "StreamDiffI2I [13]": "img2img",
    "Ours": "smalti", "FD": "factorized",
}  # fmt: skip


def paper_rows(title: str, count: int) -> list[list[float]]:
    """The lines of the paper's text that begin with a title and go on with so many numbers."""
    numbers = rf"((?: -?\d+\.\d+){{{count}}})"
    found = re.findall(rf"^ *{re.escape(title)}{numbers} *$", PAPER.read_text(), re.MULTILINE)
    return [[float(number) for number in line.split()] for line in found]


@pytest.mark.skipif(not PAPER.is_file(), reason="the paper's text is not here")
@pytest.mark.parametrize("title", TITLES)
def test_published_figures_are_those_of_the_papers_tables(title: str):
    (scores, *_) = paper_rows(title, 10)
    own = PUBLISHED[TITLES[title]]
    assert [own[name] for name in (
        "psnr_64", "ssim_64", "lpips_64", "mosaic_hpsv2", "mosaic_image_reward", "blip", "clip",
        "clip_iqa", "hpsv2", "image_reward",
    )] == scores  # fmt: skip
    levels = [own[f"pyramid_{n}"] for n in (1, 2, 3, 4) if f"pyramid_{n}" in own]
    in_table = paper_rows(re.sub(r"\[\d+\]", lambda _: TABLE_6[title], title), 4)
    assert [levels] == (in_table or [[]])


TABLE_6 = dict(zip(TITLES, ("[15]", "[20]", "[10]", "[16]", "[12]", "", ""), strict=True))
"""The paper numbers its references anew there."""


def test_every_row_of_the_papers_is_a_method_that_can_be_made():
    assert set(PUBLISHED) <= {*METHODS, *COMPOSED} and set(PREFERRED) < set(PUBLISHED)
