"""The sweep behind a base preset's learning rates and rank: likeness at each combination.

    python benchmarks/learning_rates.py concepts/sylvie
    python benchmarks/learning_rates.py concepts/sylvie --rates 1e-3,3e-3 --ranks 4,16 --steps 300
    python benchmarks/learning_rates.py concepts/sylvie --rates 1e-2/1e-4/3e-3 --base sd21

One number is the UNet's rate; the concept words then get 10 times and the text encoder 0.1 times
of it, as published. Three numbers are EMBEDDING/TEXT_ENCODER/UNET. Work, results and a contact
sheet per combination lie in runs/benchmarks/learning_rates; the concept folder is only read.
"""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from smalti.cli.boundary import guarded
from smalti.cli.console import console, print_table
from smalti.cli.options import Base, ConceptsDir, Overrides
from smalti.configs.errors import InputError
from smalti.configs.files import write_json
from smalti.configs.loading import resolve
from smalti.configs.presets import preset_names
from smalti.configs.settings import Settings
from smalti.evaluate.selection import choose_numbers
from smalti.models.concepts import find_concept

RUNS = "runs/benchmarks/learning_rates"
RATES = "3e-4,1e-3,3e-3"
PUBLISHED_RATIO = (10.0, 0.1, 1.0)  # words, text encoder, UNet: 1e-3, 1e-5, 1e-4
HEADER = ("rank", "words", "text encoder", "UNet", "steps", "concept", "class word", "noise",
          "likeness", "minutes")  # fmt: skip
NOTE = (
    "concept, class word, noise: mean starter-CLIP similarity to the photos of 16 images each, and "
    "of blobs of random colours; likeness: concept minus class word, in brackets where concept is "
    "not above noise, so that the number proves nothing. Look at the sheets before choosing."
)

app = typer.Typer(pretty_exceptions_enable=False, add_completion=False)


RatesOption = Annotated[
    str, typer.Option(help="UNet's rates, or EMBEDDING/TEXT/UNET each, comma-separated.")
]
Preset = Annotated[
    str | None, typer.Option(help=f"Training preset: {', '.join(preset_names('train'))}.")
]
Steps = Annotated[int | None, typer.Option(help="Training steps.", show_default="the preset's")]
Json = Annotated[
    str | None, typer.Option("--json", metavar="FILE", help="Write all numbers there.")
]


@app.command()
@guarded("Add --set train.batch_size=1.")
def main(
    concept_dir: Annotated[
        str, typer.Argument(metavar="CONCEPT_DIR", help="Folder of images, or the name of one.")
    ],
    *,
    rates: RatesOption = RATES,
    ranks: Annotated[str, typer.Option(help="LoRA ranks, comma-separated.")] = "4,16",
    steps: Steps = None,
    draw_steps: Annotated[int, typer.Option(help="Denoising steps of the judged images.")] = 25,
    base: Base = None,
    preset: Preset = None,
    overrides: Overrides = None,
    concepts_dir: ConceptsDir = "concepts",
    out: Annotated[str, typer.Option(metavar="FOLDER", help="Where the work lies.")] = RUNS,
    json_file: Json = None,
) -> None:
    """Train one concept at every combination and judge how alike the images are."""
    source = find_concept(concept_dir, Path(concepts_dir))
    settings = resolve(
        base=base,
        train=preset,
        concept_toml=source / "concept.toml",
        options={"train.steps": steps},
        overrides=overrides or (),
    )
    triples, numbers = parse_rates(rates), choose_numbers(ranks, "--ranks", 1)
    results = run_all(settings, source, triples, numbers, draw_steps, Path(out))
    print_table(f"Sweep on {settings.base.name}, {source.name}", HEADER, table_rows(results))
    console().print(f"[dim]{NOTE}[/]", soft_wrap=True)
    if json_file:
        write_json(
            Path(json_file),
            [{**asdict(r), "likeness": r.likeness, "credible": r.credible} for r in results],
        )


def run_all(
    settings: Settings,
    source: Path,
    rates: Sequence[tuple[float, float, float]],
    ranks: Sequence[int],
    draw_steps: int,
    out: Path,
) -> list:
    """Results of all combinations, each worked out unless it is there already."""
    from sweep import Rates, combined, folder_name, run_combination

    from smalti.evaluate.judge import Judge

    judge, results = Judge(), []
    pairs = [(rank, Rates(*triple)) for rank in ranks for triple in rates]
    for number, (rank, triple) in enumerate(pairs, 1):
        chosen = combined(settings, rank, triple, settings.train.steps)
        folder = out / folder_name(source, chosen, draw_steps)
        console().print(f"Combination {number} of {len(pairs)}: {folder}", soft_wrap=True)
        results.append(run_combination(chosen, source, folder, judge, draw_steps))
    return results


def table_rows(results: Sequence) -> list[list[str]]:
    """Rows of the table, credible ones first, then by likeness; others' likeness in brackets."""
    rows = []
    for result in sorted(results, key=lambda result: (not result.credible, -result.likeness)):
        rates = (result.rates.embedding, result.rates.text_encoder, result.rates.unet)
        likeness = f"{result.likeness:+.3f}"
        rows.append(
            [
                str(result.rank),
                *(f"{rate:g}" for rate in rates),
                str(result.steps),
                f"{result.concept:.3f}",
                f"{result.class_word:.3f}",
                f"{result.noise:.3f}",
                likeness if result.credible else f"({likeness})",
                f"{result.seconds / 60:.1f}" if result.seconds else "",
            ]
        )
    return rows


def parse_rates(text: str) -> list[tuple[float, float, float]]:
    """Read "1e-3,1e-2/1e-4/3e-3" as triples (words, text encoder, UNet); raises InputError."""
    try:
        given = [[float(rate) for rate in part.split("/")] for part in text.split(",")]
    except ValueError:
        given = [[]]
    if any(len(part) not in (1, 3) for part in given):
        raise InputError(
            "--rates needs numbers such as 1e-3,3e-3, or triples EMBEDDING/TEXT_ENCODER/UNET such "
            f'as 1e-2/1e-4/1e-3, not "{text}".'
        )
    return [
        (part[0], part[1], part[2])
        if len(part) == 3
        else tuple(float(f"{part[0] * ratio:.6g}") for ratio in PUBLISHED_RATIO)
        for part in given
    ]


if __name__ == "__main__":
    app()
