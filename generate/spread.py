"""Which subject each tile gets: neighbours differ in as much as they can, and all is used."""

from collections.abc import Sequence

import numpy as np
from torch import Tensor

from ..configs.mosaic import PictureSettings
from ..models.randomness import normal
from .alternatives import choices, spoken
from .grid import Grid, Tile
from .palette import color_names
from .subjects import Subject, name_color

NEAR = ((0, -1, 2), (-1, 0, 2), (-1, -1, 1), (-1, 1, 1))
"""Rows and columns to neighbours that are placed before a tile, and what likeness to them costs."""

Kind = tuple[object, ...]
"""What a tile may be, trait by trait: concept, prompt, words. None is no trait and like nothing."""


def spread(grid: Grid, kinds: Sequence[Kind], seed: int, *key: object) -> dict[Tile, int]:
    """Give each tile one of `kinds` so that neighbours share few traits and all kinds are used.

    Row by row, each tile takes the kind that its already placed neighbours are least like (diagonal
    ones count half) and that was used least so far; the seed breaks ties. Likeness is the square of
    the share of traits that are equal: one that is shared is much better than all. Returns indices.
    """
    ties = normal((grid.rows, grid.cols, len(kinds)), seed, "spread", *key).double().numpy()
    alike, used = likeness(kinds), np.zeros(len(kinds))
    placed: dict[Tile, int] = {}
    for row, col in grid.tiles:
        cost = 0.5 * (used - used.min()) + 0.1 * ties[row, col]
        for down, right, weight in NEAR:
            if (other := placed.get((row + down, col + right))) is not None:
                cost += weight * alike[other]
        placed[row, col] = choice = int(cost.argmin())
        used[choice] += 1
    return placed


def likeness(kinds: Sequence[Kind]) -> np.ndarray:
    """How alike kinds are, [N, N] from 0 to 1; traits in which all are equal do not count."""
    traits = [trait for trait in zip(*kinds, strict=True) if len(set(trait)) > 1]
    if not traits:
        return np.ones((len(kinds), len(kinds)))
    same = [[[a == b is not None for b in trait] for a in trait] for trait in traits]
    alike = np.square(np.mean(same, axis=0))
    np.fill_diagonal(alike, 1.0)
    return alike


def assign_subjects(picture: PictureSettings, grid: Grid, blocks: Tensor) -> dict[Tile, Subject]:
    """Concept and prompt of every tile; `<color>` becomes the name of its block's colour.

    picture: with defaults filled. blocks: [rows*cols, 3, b, b] in [0, 1].
    """
    kinds, subjects = kinds_of(picture)
    which = spread(grid, kinds, picture.seed, _key(picture))
    colors = dict(zip(grid.tiles, color_names(blocks), strict=True))
    return {
        tile: Subject(subject.concept, name_color(subject.prompt, colors[tile]))
        for tile, subject in ((tile, subjects[which[tile]]) for tile in grid.tiles)
    }


def _key(picture: PictureSettings) -> str:
    """Of the ties: as it was when concepts and prompts were spread each by themselves."""
    if len(picture.tile_lora) <= 1:
        return "prompt"
    return "concept" if len(picture.tile_prompt) == 1 else "both"


def kinds_of(picture: PictureSettings) -> tuple[list[Kind], list[Subject]]:
    """Every combination of concept, prompt and its alternative words, and what it shows."""
    concepts, prompts = picture.tile_lora or ("",), picture.tile_prompt or ("",)
    said = [(prompt, words) for prompt in prompts for words in choices(prompt)]
    longest = max(len(words) for _, words in said)
    kinds: list[Kind] = []
    subjects = []
    for concept in concepts:
        for prompt, words in said:
            kinds.append((concept, prompt, *words, *(None,) * (longest - len(words))))
            subjects.append(Subject(concept, spoken(prompt, words)))
    return kinds, subjects
