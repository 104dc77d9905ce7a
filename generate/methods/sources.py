"""Which picture of the pool each tile takes, in a new mosaic and when a tile is drawn anew."""

from typing import TYPE_CHECKING

import torch

from ..grid import Tile
from ..noise import keyed_generator
from ..tiles import TileStore
from .matching import color_features, near, nearest, nearest_sources
from .pool import Source

if TYPE_CHECKING:
    from ..studio import Studio


def choose_sources(
    studio: "Studio", pool: list[Source], todo: set[Tile], seed: int
) -> dict[Tile, Source]:
    """The picture of every tile.

    "match" takes the nearest. A tile drawn anew changes to the nearest that is not near it now;
    with the mosaic's own seed to the one it had at first, if that is not near it. "tone" and
    "histogram" take any, keyed by (seed, row, col).
    """
    mosaic, grid, store = studio.plan.settings.mosaic, studio.plan.grid, studio.store
    if mosaic.method != "match":
        return {tile: pool[any_of(len(pool), seed, tile)] for tile in grid.tiles}
    cells, distance = mosaic.low_pass_cells, mosaic.repeat_distance
    blocks = color_features(torch.stack([studio.blocks[tile] for tile in grid.tiles]), cells)
    features = torch.cat([color_features(s.read(grid.tile)[None], cells) for s in pool])
    first = nearest_sources(blocks, features, grid, distance)
    wanted, shown = dict(zip(grid.tiles, blocks, strict=True)), shown_sources(store, pool)
    placed = {**first, **shown}
    for tile in sorted(todo):
        placed.pop(tile)  # its own picture is no neighbour's
        excluded = near(placed, tile, distance) | ({shown[tile]} if tile in shown else set())
        again = seed == mosaic.seed and first[tile] not in excluded
        placed[tile] = first[tile] if again else nearest(wanted[tile], features, excluded)
    return {tile: pool[index] for tile, index in placed.items()}


def any_of(count: int, seed: int, tile: Tile) -> int:
    """An index below `count` that depends on (seed, row, col) only."""
    return int(torch.randint(count, (), generator=keyed_generator(seed, "source", *tile)))


def shown_sources(store: TileStore, pool: list[Source]) -> dict[Tile, int]:
    """Which picture of the pool each tile that is there shows, by the tiles' own word."""
    index = {source.file.name: number for number, source in enumerate(pool)}
    there = sorted(set(store.grid.tiles).difference(store.missing()))
    facts = store.facts(there).values()
    return dict(zip(there, (index[fact["source"]] for fact in facts), strict=True))
