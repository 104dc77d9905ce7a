"""A studio's day for the benchmark of orders: good ones, some with photos, bad ones of ten kinds.

Everything is small: a base of random weights, 2 x 2 tiles, prints of 3 cm.
"""

import csv
import random
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

sys.path.append(str(Path(__file__).parents[1] / "tests"))

Row = dict[str, Any]
QUICK = (
    "mosaic.steps=2", "mosaic.guidance_strength=0.3", "mosaic.batch_size=2", "train.steps=2",
    "train.batch_size=1", "train.crops_per_image=1", "train.validation_steps=1",
    "train.validate_every=off",
)  # fmt: skip
PICTURES = 8
ANIMALS = ("cat", "dog", "bird", "fish")
CUSTOMERS = ("Zoë Müller", "王小明", "Ελένη Παππά", "O'Hara & Sons", "")


def tiny_base(folder: Path) -> Path:
    """A base of random weights in Stable Diffusion's layout, made once."""
    from tiny import make_tiny_sd

    return folder if folder.exists() else make_tiny_sd(folder)


def write_day(folder: Path, orders: int, bad: int, training: int, seed: int = 0) -> Path:
    """Write the table of a day and all its pictures; returns the CSV.

    orders: in all, of which `bad` cannot be done and `training` train a concept first. They come in
    random order.
    """
    pick = random.Random(seed)
    write_pictures(folder)
    good = [good_row(number, pick, folder, number < training) for number in range(orders - bad)]
    kinds = [BAD[number % len(BAD)] for number in range(bad)]
    spoilt = [kind(number, pick, folder) for number, kind in enumerate(kinds)]
    rows = good + spoilt
    pick.shuffle(rows)
    rows.sort(key=lambda row: "first" in row)  # an original stands above what contradicts it
    columns = sorted({name for row in rows for name in row if name != "first"})
    path = folder / "orders.csv"
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, columns, extrasaction="ignore")
        writer.writeheader()
        writer.writerows(rows)
    return path


def write_pictures(folder: Path) -> None:
    """Photos that are seen from afar, and two that are none."""
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(PICTURES):
        picture(number).save(folder / f"photo{number}.png")
    whole = (folder / "photo0.png").read_bytes()
    (folder / "broken.png").write_bytes(whole[: len(whole) // 2])
    write_photos(folder / "two", 2, 0)


def picture(seed: int, side: int = 96) -> Image.Image:
    """Smooth colours."""
    coarse = np.random.default_rng(seed).integers(0, 256, (3, 3, 3), np.uint8)
    return Image.fromarray(coarse).resize((side, side), Image.Resampling.BICUBIC)


def write_photos(folder: Path, count: int, seed: int) -> None:
    """A concept's folder."""
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(count):
        picture(1000 * (seed + 1) + number).save(folder / f"{number}.png")


def good_row(number: int, pick: random.Random, folder: Path, trains: bool) -> Row:
    """An order that can be done."""
    row: Row = {
        "reference": f"A-{number:04d}", "customer": pick.choice(CUSTOMERS), "grid": "2x2",
        "picture": f"photo{pick.randrange(PICTURES)}.png", "size": "3x3cm",
        "copies": pick.randint(1, 5), "priority": pick.randint(0, 9), "seed": number,
    }  # fmt: skip
    if pick.random() < 0.3:
        row["due"] = f"2030-01-{pick.randint(1, 28):02d}"
    if trains:
        write_photos(folder / f"photos{number}", 4, number)
        return row | {"concept": f"photos{number}", "class_word": "cat", "consent": "yes"}
    return row | {"tile_prompts": f"a {pick.choice(ANIMALS)}"}


def _spoilt(**fields: Any) -> Callable[[int, random.Random, Path], Row]:
    def make(number: int, pick: random.Random, folder: Path) -> Row:
        row = good_row(number, pick, folder, trains=False)
        return row | {"reference": f"B-{number:04d}"} | fields

    return make


def _contradicting(number: int, pick: random.Random, folder: Path) -> Row:
    """Another order under a reference that stands above."""
    row = good_row(0, pick, folder, trains=False)
    return row | {"seed": 900_000 + number, "first": "no"}


BAD: tuple[Callable[[int, random.Random, Path], Row], ...] = (
    _spoilt(picture="missing.png"),
    _spoilt(picture="broken.png"),
    _spoilt(size="", product="postr-30x40"),
    _spoilt(concept="two", class_word="cat", consent="yes"),
    _spoilt(concept="nobody"),
    _spoilt(picture_prompt="a house"),
    _spoilt(copies=0),
    _spoilt(due="31.02.2030"),
    _spoilt(preset="drft"),
    _contradicting,
)
"""Ten kinds: no such file, half a file, no such product, too few photos, no such concept, two
pictures, no copies, no such day, no such preset, a reference that another order has."""


def write_adapters(base_folder: Path, concepts: Path, count: int) -> Iterator[str]:
    """Concepts whose adapters are of random weights, as if they were trained."""
    from smalti.configs.loading import resolve
    from smalti.configs.train import TrainSettings
    from smalti.models.bases import load_base
    from smalti.models.edlora import attach_new, detach, save_adapter

    base = load_base(resolve(base=str(base_folder)).base, device="cpu")
    for number in range(count):
        name = f"customer{number}"
        adapter = attach_new(base, name, "girl", TrainSettings(seed=number))
        save_adapter(base, adapter, concepts / name / "edlora.safetensors", {})
        detach(base, adapter)
        yield name
