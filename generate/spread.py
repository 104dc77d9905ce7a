"""Which subject each tile gets, in a pattern without clumps."""

from torch import Tensor

from ..configs.mosaic import PictureSettings
from ..models.randomness import normal
from .grid import Grid, Tile
from .palette import color_names
from .subjects import Subject, name_color


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


def assign_subjects(picture: PictureSettings, grid: Grid, blocks: Tensor) -> dict[Tile, Subject]:
    """Concept and prompt of every tile; `<color>` becomes the name of its block's colour.

    picture: with defaults filled. blocks: [rows*cols, 3, b, b] in [0, 1].
    """
    concepts, prompts = picture.tile_lora or ("",), picture.tile_prompt or ("",)
    which = spread(grid, len(concepts), picture.seed, "concept")
    prompt = spread(grid, len(prompts), picture.seed, "prompt")
    colors = dict(zip(grid.tiles, color_names(blocks), strict=True))
    return {
        tile: Subject(concepts[which[tile]], name_color(prompts[prompt[tile]], colors[tile]))
        for tile in grid.tiles
    }
