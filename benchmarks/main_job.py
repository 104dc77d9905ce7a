"""The main job measured: fidelity from afar, likeness of the tiles, the ablation, adapter sizes.

    python benchmarks/main_job.py                                  the table in README
    python benchmarks/main_job.py --seeds 0 --grid 4x4 --steps 10  a first look
    python benchmarks/main_job.py --pair eileen/sylvie --sheet runs/eileen.png --json runs/e.json

Finished mosaics stay in runs/benchmarks/main_job and are not drawn again; delete the folder after
a change of code. The concepts must be trained (`mosaic-train concepts/sylvie`).
"""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer
from scores import Landmarks, Score, check_rows, checks, landmark_lines, summarise, summary_rows

from smalti.cli.boundary import guarded
from smalti.cli.console import console, print_table
from smalti.cli.options import Base, ConceptsDir, Overrides
from smalti.configs.errors import InputError
from smalti.configs.loading import preset_names, resolve
from smalti.configs.settings import Settings

RUNS = "runs/benchmarks/main_job"
HEADER = ("variant", "", "mosaics", "PSNR@64, dB", "SSIM@64", "likeness", "of unguided",
          "above class word")  # fmt: skip
NOTE = (
    "likeness: mean starter-CLIP similarity of tiles to the concept's photos; class word: the same "
    "tiles without the adapter, guided alike."
)

app = typer.Typer(pretty_exceptions_enable=False, add_completion=False)


@app.command()
@guarded("Add --set mosaic.batch_size=1.")
def main(
    *,
    pair: Annotated[
        list[str] | None,
        typer.Option(
            metavar="TILES/REFERENCE", help="Concepts; repeatable.", show_default="sylvie/eileen"
        ),
    ] = None,
    seeds: Annotated[str, typer.Option(help="Seeds, comma-separated.")] = "0,1,2",
    variants: Annotated[
        str | None,
        typer.Option(help="Names of variants, comma-separated.", show_default="all"),
    ] = None,
    grid: Annotated[str, typer.Option(metavar="ROWSxCOLS", help="Tiles.")] = "8x8",
    steps: Annotated[
        int | None, typer.Option(help="Denoising steps.", show_default="the preset's")
    ] = None,
    base: Base = None,
    preset: Annotated[
        str | None, typer.Option(help=f"Mosaic preset: {', '.join(preset_names('mosaic'))}.")
    ] = None,
    overrides: Overrides = None,
    concepts_dir: ConceptsDir = "concepts",
    out: Annotated[str, typer.Option(metavar="FOLDER", help="Where mosaics stay.")] = RUNS,
    json_file: Annotated[
        str | None, typer.Option("--json", metavar="FILE", help="Write all numbers there.")
    ] = None,
    sheet: Annotated[
        str | None, typer.Option(metavar="FILE", help="Write the mosaics side by side (PNG).")
    ] = None,
) -> None:
    """Draw every variant of the demo's mosaic at every seed, and measure them."""
    from mosaics import VARIANTS, file_sizes

    from smalti.generate.files import write_json

    pairs = [parse_pair(text) for text in pair or ["sylvie/eileen"]]
    names, numbers = parse_names(variants, list(VARIANTS)), parse_seeds(seeds)
    options = {"mosaic.grid": grid, "mosaic.steps": steps}
    settings = resolve(base=base, mosaic=preset, options=options, overrides=overrides or ())
    concepts = Path(concepts_dir)
    folders = draw_all(settings, pairs, names, numbers, Path(out), concepts)
    found, marks = score_all(folders, concepts)
    sizes = {name: file_sizes(settings, name, concepts) for name in dict.fromkeys(sum(pairs, ()))}
    reached = checks(found, sizes, marks)
    show(found, reached, marks, {name: variant.says for name, variant in VARIANTS.items()})
    if json_file:
        write_json(Path(json_file), report(settings, found, reached, sizes, marks))
    if sheet:
        write_sheet(folders, names, Path(sheet))


Key = tuple[tuple[str, str], int, str]  # pair, seed, variant


def draw_all(
    settings: Settings,
    pairs: Sequence[tuple[str, str]],
    names: Sequence[str],
    seeds: Sequence[int],
    out: Path,
    concepts: Path,
) -> dict[Key, Path]:
    """The folder of every mosaic, each drawn unless it is there already."""
    from dataclasses import replace

    from mosaics import VARIANTS, class_word_of, draw, variant_settings

    keys = [(pair, seed, name) for pair in pairs for seed in seeds for name in names]
    folders = {}
    for number, (pair, seed, name) in enumerate(keys, 1):
        tiles, reference = pair
        label = f"{tiles}-{reference}-{name}-seed{seed}"
        console().print(f"Mosaic {number} of {len(keys)}: {label}", soft_wrap=True)
        chosen = replace(settings.mosaic, tile_lora=(tiles,), ref_lora=reference, seed=seed)
        word = class_word_of(tiles, concepts)
        made = variant_settings(replace(settings, mosaic=chosen), VARIANTS[name], word)
        # Variants that come to the same settings share a mosaic.
        folders[pair, seed, name] = draw(made, f"{tiles}-{reference}", out, concepts)
    return folders


def score_all(folders: dict[Key, Path], concepts: Path) -> tuple[list[Score], dict[str, Landmarks]]:
    """Scores of all mosaics, tiles judged by the photos of their concept, and its landmarks."""
    from likeness import landmarks, photo_features
    from mosaics import measure

    from smalti.generate.evaluate.judge import Judge
    from smalti.models.concepts import find_concept

    judge = Judge()
    tiles = dict.fromkeys(pair[0] for pair, _, _ in folders)
    photos = {name: photo_features(judge, find_concept(name, concepts)) for name in tiles}
    marks = {name: landmarks(judge, features) for name, features in photos.items()}
    found = [
        Score("/".join(pair), name, seed, **measure(folder, judge, photos[pair[0]]))
        for (pair, seed, name), folder in folders.items()
    ]
    return found, marks


def show(
    found: Sequence[Score],
    reached: Sequence[Any],
    marks: dict[str, Landmarks],
    says: dict[str, str],
) -> None:
    """Print both tables, and how to read the likeness."""
    print_table("Variants", HEADER, summary_rows(summarise(found), says))
    for line in (NOTE, *landmark_lines(marks), ""):
        console().print(f"[dim]{line}[/]", soft_wrap=True)
    print_table("To be reached", ("", "value", "target", "reached"), check_rows(reached))


def report(
    settings: Settings,
    found: Sequence[Score],
    reached: Sequence[Any],
    sizes: dict[str, Any],
    marks: dict[str, Landmarks],
) -> dict[str, Any]:
    """Everything that --json writes."""
    from smalti.generate.output import versions

    return {
        "settings": {"base": asdict(settings.base), "mosaic": asdict(settings.mosaic)},
        "versions": versions(),
        "sizes": sizes,
        "landmarks": {name: asdict(mark) for name, mark in marks.items()},
        "mosaics": [asdict(score) for score in found],
        "variants": {name: asdict(one) for name, one in summarise(found).items()},
        "checks": [asdict(check) for check in reached],
    }


def write_sheet(folders: dict[Key, Path], names: Sequence[str], path: Path) -> None:
    """One row per pair and seed: the reference, then the variants' mosaics."""
    from PIL import Image

    from smalti.generate.evaluate.sheets import contact_sheet

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
        raise InputError(f'--pair needs two concepts such as sylvie/eileen, not "{text}".')
    return tiles, reference


def parse_names(text: str | None, known: list[str]) -> list[str]:
    """Read names separated by commas, all of them without a text; raises InputError."""
    chosen = list(dict.fromkeys(text.split(","))) if text else known
    if unknown := [name for name in chosen if name not in known]:
        raise InputError(f'There is no variant "{unknown[0]}"; known: {", ".join(known)}.')
    return chosen


def parse_seeds(text: str) -> list[int]:
    """Read numbers separated by commas; raises InputError."""
    try:
        return list(dict.fromkeys(int(part) for part in text.split(",")))
    except ValueError:
        raise InputError(f'--seeds needs whole numbers such as 0,1,2, not "{text}".') from None


if __name__ == "__main__":
    app()
