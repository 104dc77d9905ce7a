"""The main job measured: fidelity from afar, likeness of the tiles, the ablation, adapter sizes.

    python benchmarks/main_job.py                                  every variant, three seeds
    python benchmarks/main_job.py --seeds 0 --grid 4x4 --steps 10  a first look
    python benchmarks/main_job.py --pair bolt/pim --sheet runs/bolt.png --json runs/bolt.json

Finished mosaics stay in runs/benchmarks/main_job and are not drawn again; delete the folder after
a change of code. The concepts must be trained (`mosaic-train concepts/pim`).
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from smalti.cli.boundary import guarded
from smalti.cli.console import console, print_table
from smalti.cli.options import Base, ConceptsDir, Overrides
from smalti.configs.errors import InputError
from smalti.configs.files import write_json
from smalti.configs.loading import resolve
from smalti.configs.mosaic import changed
from smalti.configs.presets import preset_names
from smalti.configs.settings import Settings, as_tables
from smalti.evaluate.selection import choose_names, choose_seeds

if TYPE_CHECKING:
    from summary import Check, Score

    from smalti.evaluate.likeness import Landmarks

RUNS = "runs/benchmarks/main_job"
HEADER = ("variant", "", "mosaics", "PSNR@64, dB", "SSIM@64", "likeness", "of unguided",
          "above class word")  # fmt: skip
NOTE = (
    "likeness: mean starter-CLIP similarity of tiles to the concept's photos; class word: the same "
    "tiles without the adapter, guided alike."
)

app = typer.Typer(pretty_exceptions_enable=False, add_completion=False)


Key = tuple[tuple[str, str], int, str]
"""Pair, seed, variant."""
Pairs = Annotated[
    list[str] | None,
    typer.Option(metavar="TILES/REFERENCE", help="Concepts; repeatable.", show_default="pim/bolt"),
]
Preset = Annotated[
    str | None, typer.Option(help=f"Mosaic preset: {', '.join(preset_names('mosaic'))}.")
]
Steps = Annotated[int | None, typer.Option(help="Denoising steps.", show_default="the preset's")]
Json = Annotated[
    str | None, typer.Option("--json", metavar="FILE", help="Write all numbers there.")
]
Sheet = Annotated[
    str | None, typer.Option(metavar="FILE", help="Write the mosaics side by side (PNG).")
]


@app.command()
@guarded("Add --set mosaic.batch_size=1.")
def main(
    *,
    pair: Pairs = None,
    seeds: Annotated[str, typer.Option(help="Seeds, comma-separated.")] = "0,1,2",
    variants: Annotated[str, typer.Option(help="Names of variants, comma-separated.")] = "all",
    grid: Annotated[str, typer.Option(metavar="ROWSxCOLS", help="Tiles.")] = "8x8",
    steps: Steps = None,
    base: Base = None,
    preset: Preset = None,
    overrides: Overrides = None,
    concepts_dir: ConceptsDir = "concepts",
    out: Annotated[str, typer.Option(metavar="FOLDER", help="Where mosaics stay.")] = RUNS,
    json_file: Json = None,
    sheet: Sheet = None,
) -> None:
    """Draw every variant of the demo's mosaic at every seed, and measure them."""
    from summary import checks
    from variants import VARIANTS, file_sizes

    pairs = [parse_pair(text) for text in pair or ["pim/bolt"]]
    names = choose_names(variants, VARIANTS, "variant")
    options = {"mosaic.grid": grid, "mosaic.steps": steps}
    settings = resolve(base=base, mosaic=preset, options=options, overrides=overrides or ())
    concepts = Path(concepts_dir)
    folders = draw_all(settings, pairs, names, choose_seeds(seeds), Path(out), concepts)
    found, marks = score_all(folders, concepts)
    sizes = {name: file_sizes(settings, name, concepts) for name in dict.fromkeys(sum(pairs, ()))}
    reached = checks(found, sizes, marks)
    show(found, reached, marks, {name: variant.says for name, variant in VARIANTS.items()})
    if json_file:
        write_json(Path(json_file), report(settings, found, reached, sizes, marks))
    if sheet:
        write_sheet(folders, names, Path(sheet))


def draw_all(
    settings: Settings,
    pairs: Sequence[tuple[str, str]],
    names: Sequence[str],
    seeds: Sequence[int],
    out: Path,
    concepts: Path,
) -> dict[Key, Path]:
    """The folder of every mosaic, each drawn unless it is there already."""
    from variants import VARIANTS, class_word_of, draw, variant_settings

    keys = [(pair, seed, name) for pair in pairs for seed in seeds for name in names]
    folders = {}
    for number, (pair, seed, name) in enumerate(keys, 1):
        tiles, reference = pair
        label = f"{tiles}-{reference}-{name}-seed{seed}"
        console().print(f"Mosaic {number} of {len(keys)}: {label}", soft_wrap=True)
        shown = changed(settings.mosaic, tile_lora=(tiles,), ref_lora=reference, seed=seed)
        word = class_word_of(tiles, concepts)
        made = variant_settings(replace(settings, mosaic=shown), VARIANTS[name], word)
        # Variants that come to the same settings share a mosaic.
        folders[pair, seed, name] = draw(made, f"{tiles}-{reference}", out, concepts)
    return folders


def score_all(
    folders: Mapping[Key, Path], concepts: Path
) -> tuple[list["Score"], dict[str, "Landmarks"]]:
    """Scores of all mosaics, tiles judged by the photos of their concept, and its landmarks."""
    from summary import Score

    from smalti.evaluate.judge import Judge
    from smalti.evaluate.likeness import fidelity_and_likeness, landmarks, photo_features
    from smalti.models.concepts import find_concept
    from smalti.train.concept import load_concept

    judge, photos = Judge(), {}
    for name in dict.fromkeys(pair[0] for pair, _, _ in folders):
        images = load_concept(find_concept(name, concepts)).images
        photos[name] = photo_features(judge, [item.path for item in images])
    found = [
        Score("/".join(pair), name, seed, **fidelity_and_likeness(folder, judge, photos[pair[0]]))
        for (pair, seed, name), folder in folders.items()
    ]
    return found, {name: landmarks(judge, features) for name, features in photos.items()}


def show(
    found: Sequence["Score"],
    reached: Sequence["Check"],
    marks: Mapping[str, "Landmarks"],
    says: Mapping[str, str],
) -> None:
    """Print both tables, and how to read the likeness."""
    from summary import check_rows, landmark_lines, summarise, summary_rows

    print_table("Variants", HEADER, summary_rows(summarise(found), says))
    for line in (NOTE, *landmark_lines(marks), ""):
        console().print(f"[dim]{line}[/]", soft_wrap=True)
    print_table("To be reached", ("", "value", "target", "reached"), check_rows(reached))


def report(
    settings: Settings,
    found: Sequence["Score"],
    reached: Sequence["Check"],
    sizes: Mapping[str, Any],
    marks: Mapping[str, "Landmarks"],
) -> dict[str, Any]:
    """Everything that --json writes."""
    from summary import summarise

    from smalti.generate.metadata import versions

    return {
        "settings": {k: v for k, v in as_tables(settings).items() if k != "train"},
        "versions": versions(),
        "sizes": sizes,
        "landmarks": {name: asdict(mark) for name, mark in marks.items()},
        "mosaics": [asdict(score) for score in found],
        "variants": {name: asdict(one) for name, one in summarise(found).items()},
        "checks": [asdict(check) for check in reached],
    }


def write_sheet(folders: Mapping[Key, Path], names: Sequence[str], path: Path) -> None:
    """One row per pair and seed: the reference, then the variants' mosaics."""
    from PIL import Image

    from smalti.models.sheets import contact_sheet

    rows, labels = [], []
    for pair, seed in dict.fromkeys((pair, seed) for pair, seed, _ in folders):
        own = [folders[pair, seed, name] for name in names]
        files = [own[0] / "reference.png", *(folder / "mosaic.png" for folder in own)]
        rows.append([Image.open(file).convert("RGB") for file in files])
        labels.append(f"{'/'.join(pair)}, {seed}")
    contact_sheet(rows, path, columns=("reference", *names), names=labels)


def parse_pair(text: str) -> tuple[str, str]:
    """Read "TILES/REFERENCE"; raises InputError for anything else."""
    tiles, slash, reference = text.partition("/")
    if not (tiles and slash and reference) or "/" in reference:
        raise InputError(f'--pair needs two concepts such as pim/bolt, not "{text}".')
    return tiles, reference


if __name__ == "__main__":
    app()
