"""Means and Markdown, worked out by hand."""

from smalti.evaluate.table import MISSING, Column, markdown, mean_cell, row_means

COLUMNS = (Column("psnr_64", "PSNR↑", 2), Column("clip", "CLIP↑"), Column("seconds", "s", 1))


def test_means_by_hand():
    rows = [
        ("a", {"psnr_64": 10.0, "clip": 0.5, "seconds": 3.0}),
        ("b", {"psnr_64": 1.0, "clip": MISSING, "seconds": None}),
        ("a", {"psnr_64": 13.0, "clip": 0.25, "seconds": None}),
    ]
    means = row_means(rows, ["psnr_64", "clip", "seconds"])
    assert means == {
        "a": {"psnr_64": 11.5, "clip": 0.375, "seconds": 3.0},
        "b": {"psnr_64": 1.0, "clip": MISSING, "seconds": None},
    }
    assert markdown(means, COLUMNS) == (
        "| | PSNR↑ | CLIP↑ | s |\n"
        "|---|---:|---:|---:|\n"
        "| a | 11.50 | 0.375 | 3.0 |\n"
        f"| b | 1.00 | {MISSING} | – |\n"
    )


def test_no_mean_where_one_mosaic_lacks_the_score():
    assert mean_cell([0.5, MISSING, 0.7]) == MISSING
    assert mean_cell([None, None]) is None
