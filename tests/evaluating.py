"""Helpers of the tests that evaluate on the tiny model, in this process."""

import csv
from pathlib import Path

from smalti.generate.evaluate.drawing import draw_mosaic, draw_references

QUICK = ("mosaic.steps=2", "mosaic.reference_steps=2", "mosaic.pool_size=4")


class Here:
    """Runs work in this process and notes what was drawn."""

    def __init__(self):
        self.drawn: list[str] = []
        self.references = 0

    def __call__(self, work, *arguments):
        if work is draw_mosaic:
            self.drawn.append(arguments[1].name.rpartition("-")[0])
        elif work is draw_references:
            self.references += len(arguments[0])
        return work(*arguments)


def rows_of(out: Path) -> list[dict[str, str]]:
    with (out / "results.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def silent(line: str) -> None:
    """Drop what the evaluation says."""
