"""`mosaic-train`: teach a base model one concept from a folder of images."""

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..configs.loading import resolve
from ..configs.presets import preset_names
from ..configs.settings import Settings
from ..models.concepts import find_concept
from .boundary import forget_option, guarded
from .console import console, print_facts, print_settings, say_licence
from .options import Base, ConceptsDir, Config, DryRun, Overrides, Version, examples, with_settings

if TYPE_CHECKING:
    from ..evaluate.checkpoints import PhotoJudge

EPILOG = examples(
    ("mosaic-train concepts/pim", "on the embedded starter model"),
    ("mosaic-train concepts/pim --preset edlora-fast", "half the steps, for a first look"),
    ("mosaic-train concepts/pim --base sd21", "on a GPU"),
    ("mosaic-train concepts/pim --method dreambooth", "by another method"),
    ("mosaic-train concepts/pim --judge-every 50", "the best checkpoint, not the last"),
    ("mosaic-train concepts/pim --rank 16 --set train.background_weight=0", "other settings"),
    (
        "accelerate launch --num-processes 2 -m smalti.cli.train concepts/pim --base sd21",
        "on two GPUs",
    ),
    resumes=True,
)
LESS_MEMORY = (
    "Take --batch-size 1 with --set train.gradient_accumulation=4, --gradient-checkpointing, "
    "or on a GPU --mixed-precision bf16."
)

ConceptDir = Annotated[
    str, typer.Argument(metavar="CONCEPT_DIR", help="Folder of images, or the name of one.")
]
Preset = Annotated[
    str | None, typer.Option(help=f"Training preset: {', '.join(preset_names('train'))}.")
]
Restart = Annotated[
    bool, typer.Option("--restart", help="Forget earlier work on this concept, begin anew.")
]

app = typer.Typer(rich_markup_mode="rich", pretty_exceptions_enable=False, add_completion=False)


@app.command(epilog=EPILOG)
@guarded(LESS_MEMORY, resumes=True)
@with_settings(
    "train", "method", "class_word", "steps", "rank", "batch_size", "mixed_precision", "optimizer",
    "gradient_checkpointing", "flip", "seed", "judge_every", "patience",
)  # fmt: skip
def train(
    concept_dir: ConceptDir,
    *,
    base: Base = None,
    preset: Preset = None,
    overrides: Overrides = None,
    config: Config = None,
    concepts_dir: ConceptsDir = "concepts",
    restart: Restart = False,
    dry_run: DryRun = False,
    version: Version = False,
    options: dict[str, Any],
) -> None:
    """Learn a concept from about 15 images; writes CONCEPT_DIR/edlora.safetensors.

    Beside an image may lie a caption (NAME.txt) and a mask of the subject (NAME.mask.png).
    """
    folder = find_concept(concept_dir, Path(concepts_dir))
    settings = resolve(
        base=base,
        train=preset,
        concept_toml=folder / "concept.toml",
        config=Path(config) if config else None,
        options=options,
        overrides=overrides or (),
    )
    say_licence(settings.base)
    if dry_run:
        from ..train.dry_run import dry_run as describe

        print_facts(f"Training {folder}", describe(folder, settings, restart=restart))
        print_settings(settings, "base", "train")
        return
    _train(folder, settings, restart=restart)


def _train(folder: Path, settings: Settings, *, restart: bool) -> None:
    from ..train.trainer import train_concept

    judge, forget = checkpoint_judge(folder, settings), partial(forget_option, "--restart")
    adapter = train_concept(folder, settings, judge=judge, restart=restart, restarted=forget)
    console().print(f"The adapter: {adapter}", soft_wrap=True, markup=False)


def checkpoint_judge(folder: Path, settings: Settings) -> "PhotoJudge | None":
    """What judges a training's checkpoints, where they are judged."""
    if settings.train.judge_every is None:
        return None
    from ..evaluate.checkpoints import PhotoJudge
    from ..train.concept import load_concept

    photos = [item.path for item in load_concept(folder).images]
    return PhotoJudge(photos, settings.base.name)


def run() -> None:
    """Entry point of `mosaic-train`."""
    app()


if __name__ == "__main__":
    run()
