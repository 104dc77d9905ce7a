"""What each tile shows: which concept, and which prompt, in a pattern without clumps."""

import re
from dataclasses import dataclass, replace

from torch import Tensor

from ..configs.errors import InputError
from ..configs.settings import MosaicSettings
from .grid import Grid, Tile
from .noise import normal
from .palette import color_names

CONCEPT = "<concept>"
COLOR = "<color>"
CONCEPT_TILE_PROMPTS = ("a <concept> on a <color> background", "a <concept>")
CONCEPT_REFERENCE_PROMPT = "a close-up of a <concept>"


@dataclass(frozen=True)
class Subject:
    """What one tile, or the reference, shows."""

    concept: str
    """Name of the concept, empty without one."""
    prompt: str
    """The prompt, in which `<concept>` still stands for the concept's words."""


def fill_defaults(settings: MosaicSettings) -> MosaicSettings:
    """Complete what a user left out: reference from tiles, tiles from reference, prompts.

    Raises InputError when there is nothing to draw or the options contradict each other.
    """
    if settings.ref and (settings.ref_lora or settings.ref_prompt):
        raise InputError(
            "--ref takes a photo, --ref-lora and --ref-prompt draw a reference; give one or the "
            "other."
        )
    if settings.pool:
        _check_pool(settings)
    settings = _fill_reference(_fill_tiles(settings))
    prompts = tuple(_with_concept(p, bool(settings.tile_lora)) for p in settings.tile_prompt)
    reference = settings.ref_prompt
    if not settings.ref:
        reference = _with_concept(reference, bool(settings.ref_lora))
    return replace(settings, tile_prompt=prompts, ref_prompt=reference)


def _check_pool(settings: MosaicSettings) -> None:
    if settings.tile_lora or settings.tile_prompt:
        raise InputError(
            "mosaic.pool gives the pictures of the tiles; leave out --tile-lora and --tile-prompt."
        )
    if not (settings.ref or settings.ref_lora or settings.ref_prompt):
        raise InputError(
            "Nothing to show from afar: give --ref a photo, or draw one with --ref-lora or "
            "--ref-prompt."
        )


def _fill_tiles(settings: MosaicSettings) -> MosaicSettings:
    if settings.pool:
        return settings
    if settings.tile_lora:
        return replace(settings, tile_prompt=settings.tile_prompt or CONCEPT_TILE_PROMPTS)
    if settings.tile_prompt:
        return settings
    if settings.ref_lora:
        return _fill_tiles(replace(settings, tile_lora=(settings.ref_lora,)))
    if settings.ref_prompt:
        return replace(settings, tile_prompt=(settings.ref_prompt,))
    raise InputError(
        "Nothing to draw in the tiles: give --tile-lora NAME for a trained concept, or "
        '--tile-prompt "a cup of coffee".'
    )


def _fill_reference(settings: MosaicSettings) -> MosaicSettings:
    if settings.ref:
        return settings
    if not settings.ref_lora and not settings.ref_prompt:
        lora = settings.tile_lora[:1]
        if not lora:
            return replace(settings, ref_prompt=_without_color(settings.tile_prompt[0]))
        settings = replace(settings, ref_lora=lora[0])
    if settings.ref_lora and not settings.ref_prompt:
        settings = replace(settings, ref_prompt=CONCEPT_REFERENCE_PROMPT)
    return settings


def _with_concept(prompt: str, has_concept: bool) -> str:
    """A prompt that names the concept where there is one, and does not where there is none."""
    if has_concept and CONCEPT not in prompt:
        return f"a {CONCEPT}, {prompt}"
    if not has_concept and CONCEPT in prompt:
        raise InputError(
            f"The prompt {prompt!r} says {CONCEPT}, but no concept is given for it; add "
            "--tile-lora NAME or --ref-lora NAME."
        )
    return prompt


def spread(grid: Grid, count: int, seed: int, *key: object) -> dict[Tile, int]:
    """Give each tile one of `count` choices so that equal ones rarely touch.

    Row by row, each tile takes the choice that its already placed neighbours have least
    (diagonal ones count half) and that was used least so far; the seed breaks ties.
    """
    ties = normal((grid.rows, grid.cols, count), seed, "spread", *key)
    used, placed = [0] * count, {}
    for row, col in grid.tiles:
        near = [(row, col - 1, 2), (row - 1, col, 2), (row - 1, col - 1, 1), (row - 1, col + 1, 1)]
        cost = [0.5 * (n - min(used)) + 0.1 * float(ties[row, col, i]) for i, n in enumerate(used)]
        for other_row, other_col, weight in near:
            if (other := placed.get((other_row, other_col))) is not None:
                cost[other] += weight
        choice = cost.index(min(cost))
        placed[row, col] = choice
        used[choice] += 1
    return placed


def assign_subjects(settings: MosaicSettings, grid: Grid, blocks: Tensor) -> dict[Tile, Subject]:
    """Concept and prompt of every tile; `<color>` becomes the name of its block's colour.

    settings: with defaults filled. blocks: [rows*cols, 3, b, b] in [0, 1].
    """
    concepts, prompts = settings.tile_lora or ("",), settings.tile_prompt or ("",)
    which = spread(grid, len(concepts), settings.seed, "concept")
    prompt = spread(grid, len(prompts), settings.seed, "prompt")
    colors = dict(zip(grid.tiles, color_names(blocks), strict=True))
    return {
        tile: Subject(concepts[which[tile]], name_color(prompts[prompt[tile]], colors[tile]))
        for tile in grid.tiles
    }


def _without_color(prompt: str) -> str:
    """A reference has no block whose colour it could name."""
    return " ".join(prompt.replace(COLOR, "").split())


def name_color(prompt: str, color: str) -> str:
    """Put a colour's name in place of `<color>`, with the right article before it."""
    article = "an" if color[0] in "aeiou" else "a"
    return re.sub(rf"\ban? {COLOR}", f"{article} {color}", prompt).replace(COLOR, color)
