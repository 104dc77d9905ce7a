"""Helpers of the tests that evaluate on the tiny model, in this process."""

import csv
from pathlib import Path

import torch

from smalti.configs.settings import Settings
from smalti.evaluate.drawing import draw_mosaic, draw_references
from smalti.generate.finish import finish
from smalti.generate.grid import Grid
from smalti.generate.store import Store

QUICK = ("mosaic.steps=2", "mosaic.reference_steps=2", "mosaic.batch_size=2")
POOL = "mosaic.pool_size=4"


class InProcess:
    """Runs work in this process and notes what was drawn."""

    def __init__(self):
        self.drawn: list[str] = []
        self.references = 0

    def __call__(self, function, *arguments):
        if function is draw_mosaic:
            self.drawn.append(arguments[1].name.rpartition("-")[0])
        elif function is draw_references:
            self.references += len(arguments[0])
        return function(*arguments)


def read_rows(out: Path) -> list[dict[str, str]]:
    with (out / "results.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def ignore(line: str) -> None:
    """Drop what the evaluation says."""


def noisy_mosaic(folder: Path, grid: Grid, tone: float = 0.5) -> Store:
    """A finished mosaic of noise around a tone, whose reference is noise too; drawn by nobody."""
    store, g = Store(folder, grid), torch.Generator().manual_seed(0)

    def noise(height: int, width: int) -> torch.Tensor:
        return (tone + 0.2 * torch.randn(3, height, width, generator=g)).clamp(0, 1)

    store.claim({})
    store.save_reference(noise(*grid.reference_size))
    for tile in grid.tiles:
        store.save(tile, noise(grid.tile, grid.tile), {"seed": 0, "correction_energy": 0.0}, "")
    finish(store, Settings(), ["noise"])
    return store
