"""Real photos among the tiles: all placed, 5,000 of them in time, and drawn over.

    python benchmarks/tile_photos.py placed        # 300 photos in 24 x 24 tiles, nothing drawn
    python benchmarks/tile_photos.py large         # 5,000 photos into 100 x 100 tiles
    python benchmarks/tile_photos.py drawn         # a share of 0.3 drawn over on the starter, 6 x 6

The photos are square pieces of the photographs that scikit-image ships (a portrait, a cat, a cup, a
rocket, stars, a retina, tissue, a motorcycle), cut at random places and sizes by a fixed seed:
photos in grain and colour, though not 300 people. Peak memory is the process's own, torch included.
"""

import resource
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import numpy as np
import torch
import typer
from PIL import Image

from smalti.cli.boundary import guarded
from smalti.cli.console import print_table
from smalti.configs.files import read_json
from smalti.configs.loading import resolve
from smalti.configs.settings import Settings
from smalti.evaluate.judge import Judge
from smalti.evaluate.pictures import read_images
from smalti.generate.blocks import fit_reference, split_blocks
from smalti.generate.engine import Engine, open_engine
from smalti.generate.grid import make_grid
from smalti.generate.methods.matching import color_features
from smalti.generate.methods.pictures import folder_sources
from smalti.generate.mosaic import generate_mosaic
from smalti.generate.photo_places import PIXELS_PER_CELL, choose_places, costs
from smalti.models.colorspaces import oklab
from smalti.models.photos import load_photo

SOURCES = ("astronaut.png", "chelsea.png", "coffee.png", "rocket.jpg", "hubble_deep_field.jpg",
           "retina.jpg", "ihc.png", "motorcycle_left.png")  # fmt: skip
SIDES = (100, 256)  # px of a piece
CELLS = 8

Reference = Annotated[Path, typer.Option(help="Photo that the tiles show from afar.")]
Work = Annotated[Path, typer.Option(help="Where photos and mosaics go.")]

app = typer.Typer(pretty_exceptions_enable=False, add_completion=False)


def cut_photos(folder: Path, count: int) -> Path:
    """`count` pieces of scikit-image's photographs as JPEGs in a folder, cut once."""
    import skimage.data

    place = folder / f"photos-{count}"
    if place.is_dir() and len(list(place.iterdir())) == count:
        return place
    place.mkdir(parents=True, exist_ok=True)
    whole = [Image.open(Path(skimage.data.__file__).parent / n).convert("RGB") for n in SOURCES]
    random = np.random.default_rng(0)
    for number in range(count):
        source = whole[number % len(whole)]
        side = int(random.integers(*SIDES))
        left, top = (int(random.integers(0, length - side + 1)) for length in source.size)
        piece = source.crop((left, top, left + side, top + side))
        piece.save(place / f"{Path(SOURCES[number % len(whole)]).stem}-{number:04d}.jpg")
    return place


@app.command()
@guarded("Close other programs.")
def placed(reference: Reference = Path("docs/photo.jpg"), work: Work = Path("runs/photos")) -> None:
    """Place 300 photos in 24 x 24 tiles: each at least once, repeats apart."""
    folder = cut_photos(work, 300)
    settings = resolve(options={
        "mosaic.ref": str(reference), "mosaic.grid": "24x24", "mosaic.tile_photos": str(folder),
        "mosaic.photo_share": 1.0, "mosaic.tile_prompt": ("a cat",),
    })  # fmt: skip
    started = time.perf_counter()
    made = generate_mosaic(settings, work / "placed", concepts_dir=Path("concepts")).parent
    record = read_json(made / "mosaic.json") or {}
    used = Counter(record["photos"].values())
    metrics = record["metrics"]
    row = [len(used), sum(used.values()), max(used.values()), f"{metrics['psnr_64']:.2f}",
           f"{metrics['ssim_64']:.3f}", metrics["correction_energy"],
           f"{time.perf_counter() - started:.0f}"]  # fmt: skip
    header = ("photos placed", "tiles", "most often", "PSNR@64, dB", "SSIM@64",
              "correction energy", "s")  # fmt: skip
    print_table("300 photos in 24 x 24 tiles", header, [list(map(str, row))])


@app.command()
@guarded("Close other programs.")
def large(reference: Reference = Path("docs/photo.jpg"), work: Work = Path("runs/photos")) -> None:
    """Time and memory of placing 5,000 photos in 100 x 100 tiles, once and with repeats."""
    torch.set_num_threads(1)
    sources = folder_sources(str(cut_photos(work, 5000)))
    grid = make_grid(resolve(options={"mosaic.grid": "100x100"}))
    rows, began = [], _clocks()
    side = PIXELS_PER_CELL * CELLS
    photos = torch.cat([color_features(s.small(side)[None], CELLS, oklab) for s in sources]).numpy()
    rows.append(_took("reading 5,000 photos", began))
    blocks = split_blocks(fit_reference(load_photo(reference), grid), grid)
    began = _clocks()
    cost = costs(photos, color_features(blocks, CELLS, oklab).numpy())
    rows.append(_took("costs", began))
    for name, count in (("each once", 5000), ("repeats in the other half", 10_000)):
        began = _clocks()
        found = choose_places(cost, grid.tiles, count, 4)
        assert len(set(found.values())) == 5000
        rows.append(_took(f"{name}: {len(found)} tiles", began))
    print_table("5,000 photos, 100 x 100 tiles", ("what", "s", "CPU s", "peak memory, GiB"), rows)


def _clocks() -> tuple[float, float]:
    """Time on the wall and time on the CPU, which other programs do not lengthen."""
    return time.perf_counter(), time.process_time()


def _took(what: str, began: tuple[float, float]) -> list[str]:
    """A row: seconds since, and the process's peak so far."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    seconds = (now - then for now, then in zip(_clocks(), began, strict=True))
    return [what, *(f"{one:.1f}" for one in seconds), f"{peak:.2f}"]


@app.command()
@guarded("Close other programs.")
def drawn(
    reference: Reference = Path("docs/photo.jpg"),
    work: Work = Path("runs/photos"),
    strengths: Annotated[str, typer.Option(help="Strengths to compare.")] = "0.2",
    bands: Annotated[str, typer.Option(help="CELLS:KEEP to compare, of photo_cells and _keep.")] = (
        "3:1"
    ),
    prompt: Annotated[str, typer.Option(help="Of the tiles that are no photos.")] = (
        "a cat on a <color> background"
    ),
) -> None:
    """Fidelity with a share of 0.3 drawn over, and what is left of the photos."""
    base = {"mosaic.ref": str(reference), "mosaic.grid": "6x6", "mosaic.tile_prompt": (prompt,)}
    photos = {"mosaic.tile_photos": str(cut_photos(work, 11)), "mosaic.photo_share": 0.3}
    settings = resolve(options=base)
    engine, judge = open_engine(settings.base, settings.mosaic.machine), Judge()
    rows = [_row("all drawn", _made(settings, work / "all", engine), judge)]
    kept = resolve(options=base | photos | {"mosaic.photo_mode": "placed"})
    rows.append(_row("placed", _made(kept, work / "as-they-are", engine), judge))
    for strength in map(float, strengths.split(",")):
        over = photos | {"mosaic.photo_mode": "drawn", "mosaic.photo_strength": strength}
        for name, more in _ways(bands).items():
            name = f"{name}, {strength}"
            made = _made(resolve(options=base | over | more), work / name, engine)
            rows.append(_row(name, made, judge))
    header = ("tiles", "PSNR@64, dB", "SSIM@64", "alike its photo", "lowest", "alike another")
    print_table("6 x 6 tiles, 11 of them photos", header, rows)


def _ways(bands: str) -> dict[str, dict[str, object]]:
    """Settings by name: the bands under the guide, and image to image without guide or keeping."""
    found: dict[str, dict[str, object]] = {}
    for band in bands.split(","):
        cells, keep = band.split(":")
        options = {"mosaic.photo_cells": int(cells), "mosaic.photo_keep": float(keep)}
        found[f"{cells} cells, {keep} kept"] = options
    return found | {"unguided": {"mosaic.guidance": False, "mosaic.photo_keep": 0.0}}


def _made(settings: Settings, out: Path, engine: Engine) -> Path:
    return generate_mosaic(settings, out, concepts_dir=Path("concepts"), engine=engine).parent


def _row(name: str, folder: Path, judge: Judge) -> list[str]:
    """Fidelity, and the mean and lowest starter-CLIP similarity of photo tiles to their photos."""
    record = read_json(folder / "mosaic.json") or {}
    metrics, photos = record["metrics"], record.get("photos", {})
    row = [name, f"{metrics['psnr_64']:.2f}", f"{metrics['ssim_64']:.3f}"]
    if not photos:
        return [*row, "", "", ""]
    tiles = read_images([folder / "tiles" / f"{tile}.png" for tile in photos])
    source = Path(record["settings"]["mosaic"]["photos"]["tile_photos"])
    alike = _similarity(judge, tiles, read_images([source / file for file in photos.values()]))
    own = alike.diagonal()
    others = (alike.sum() - own.sum()) / (alike.numel() - len(own))
    return [*row, f"{own.mean():.3f}", f"{own.min():.3f}", f"{others:.3f}"]


def _similarity(
    judge: Judge, tiles: Sequence[torch.Tensor], photos: Sequence[torch.Tensor]
) -> torch.Tensor:
    """Cosine similarities [K, K] of tiles to photos."""
    one, other = (torch.cat([judge.image_features(x[None]) for x in xs]) for xs in (tiles, photos))
    return one @ other.T


if __name__ == "__main__":
    app()
