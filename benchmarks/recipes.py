"""Training recipes side by side: what each makes of a concept, and how long it takes.

    python benchmarks/recipes.py pim bolt --recipe "" --recipe "targets=attention,rank=4,steps=1400"
    python benchmarks/recipes.py concepts/mug --recipe "learning_rate_unet=2e-3" --seeds 0,1,2

The sweep behind the starter's defaults. A recipe is a list of [train] settings that differ from the
base's own; "" is these. Every recipe trains every concept with every seed in a copy of its folder,
draws pictures that nothing guides, some of them on coloured backgrounds, and a mosaic of the
astronaut's photo. Work, results and a contact sheet for each lie in runs/benchmarks/recipes and are
found again by the next run.
"""

from collections.abc import Sequence
from dataclasses import asdict, replace
from math import isnan
from pathlib import Path
from statistics import mean
from typing import TYPE_CHECKING, Annotated

import typer
from scenes import sample_photo

from smalti.cli.boundary import guarded
from smalti.cli.console import console, print_table
from smalti.cli.options import Base, ConceptsDir
from smalti.configs.files import write_json
from smalti.configs.loading import resolve
from smalti.configs.settings import Settings
from smalti.evaluate.selection import choose_seeds
from smalti.models.concepts import find_concept

if TYPE_CHECKING:
    from trial import Result

RUNS = "runs/benchmarks/recipes"
OWN = "as the base has it"
HEADER = ("recipe", "trainings", "s", "MB", "unguided", "background", "tiles", "above class word",
          "eyes", "SSIM@64")  # fmt: skip
NOTE = (
    "unguided, tiles: mean starter-CLIP similarity to the concept's photos of 16 pictures that "
    "nothing guides, and of a mosaic's tiles; above class word: tiles minus those of the same "
    "mosaic without the adapter; background: share of pictures whose border has the colour named; "
    "eyes: how clearly they are seen in tiles (eyes.py). Look at the sheets before choosing."
)

app = typer.Typer(pretty_exceptions_enable=False, add_completion=False)


@app.command()
@guarded("Add --set train.batch_size=1 to a recipe.")
def main(
    concepts: Annotated[list[str], typer.Argument(help="Names or folders of concepts.")],
    *,
    recipe: Annotated[
        list[str], typer.Option(metavar="KEY=VALUE,...", help="[train] settings; repeatable.")
    ] = [""],  # noqa: B006  typer reads it only
    seeds: Annotated[str, typer.Option(help="Training seeds, comma-separated.")] = "0",
    grid: Annotated[str, typer.Option(metavar="ROWSxCOLS", help="The mosaic's tiles.")] = "6x6",
    base: Base = None,
    concepts_dir: ConceptsDir = "concepts",
    out: Annotated[str, typer.Option(metavar="FOLDER", help="Where the work lies.")] = RUNS,
    json_file: Annotated[
        str | None, typer.Option("--json", metavar="FILE", help="Write all numbers there.")
    ] = None,
) -> None:
    """Train concepts by every recipe and judge what each of them draws."""
    found: dict[str, list[Result]] = {}
    photo = sample_photo(Path(out) / "astronaut.png")
    for text in recipe:
        for name in concepts:
            source = find_concept(name, Path(concepts_dir))
            for seed in choose_seeds(seeds):
                settings = trial_settings(text, source, base, seed, grid, photo)
                console().print(f"{text or OWN}: {source.name}, seed {seed}", soft_wrap=True)
                found.setdefault(text or OWN, []).append(run(settings, source, Path(out), text))
    print_table("Recipes", HEADER, [table_row(text, own) for text, own in found.items()])
    console().print(f"[dim]{NOTE}[/]", soft_wrap=True)
    if json_file:
        results = {text: [asdict(result) for result in own] for text, own in found.items()}
        write_json(Path(json_file), results)


def trial_settings(
    recipe: str, source: Path, base: str | None, seed: int, grid: str, photo: Path
) -> Settings:
    """Settings of one trial; raises InputError as `resolve` does.

    Validation grids show one prompt: the sheet shows the rest, and they are no part of the time.
    """
    changes = [f"train.{change}" for change in recipe.split(",") if change]
    settings = resolve(
        base=base,
        concept_toml=source / "concept.toml",
        overrides=changes,
        options={"train.seed": seed, "mosaic.grid": grid, "mosaic.ref": str(photo)},
    )
    train = replace(
        settings.train, validate_every=None, validation_steps=1, validation_prompts=("a <concept>",)
    )
    return replace(settings, train=train)


def run(settings: Settings, source: Path, out: Path, recipe: str) -> "Result":
    """The result of one trial, worked out unless it is there already."""
    from trial import run_trial, trial_folder

    from smalti.evaluate.judge import Judge

    name = "own" if not recipe else recipe.replace("learning_rate_", "").replace(",", "-")
    return run_trial(settings, source, out / trial_folder(source, settings, name), Judge())


def table_row(recipe: str, results: "Sequence[Result]") -> list[str]:
    """A recipe's means over concepts and seeds; times and eyes where they were measured."""
    seconds = [one.seconds for one in results if one.seconds]
    eyes = [one.eyes for one in results if not isnan(one.eyes)]
    return [
        recipe,
        str(len(results)),
        f"{mean(seconds):.0f}" if seconds else "",
        f"{mean(one.megabytes for one in results):.1f}",
        f"{mean(one.unguided for one in results):.3f}",
        f"{100 * mean(one.background for one in results):.0f} %",
        f"{mean(one.guided for one in results):.3f}",
        f"{mean(one.guided - one.class_word for one in results):+.3f}",
        f"{mean(eyes):.3f}" if eyes else "",
        f"{mean(one.ssim for one in results):.3f}",
    ]


if __name__ == "__main__":
    app()
