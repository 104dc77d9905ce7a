"""`python -m smalti.starter STAGE`: one of the stages, or all of them in order."""

import os
from pathlib import Path
from typing import Annotated

import typer

STAGES = ("prepare", "vae", "clip", "unet", "color", "all")


def main(
    stage: Annotated[str, typer.Argument(help=f"{', '.join(STAGES[:-1])}, or all")] = "all",
    preset: Annotated[str, typer.Option(help="cpu or gpu, or a TOML file")] = "cpu",
    work: Annotated[Path, typer.Option(help="Where unfinished work lies")] = Path("runs/starter"),
    out: Annotated[Path, typer.Option(help="Finished model's folder")] = Path("models/starter"),
    overrides: Annotated[
        list[str] | None, typer.Option("--set", help="Such as unet.steps=1000")
    ] = None,
) -> None:
    """Train the starter model. The same command continues where it was stopped.

    Example: python -m smalti.starter all --preset gpu --set unet.steps=20000
    """
    from ..configs.errors import InputError, SmaltiError
    from .recipe_settings import read_recipe
    from .stages import run_stage

    try:
        if stage not in STAGES:
            raise InputError(f"No stage {stage!r}; known: {', '.join(STAGES)}.")
        run_stage(stage, read_recipe(preset, overrides or []), work, out)
    except SmaltiError as error:
        typer.echo(f"Error: {error}", err=True)
        raise typer.Exit(error.exit_code) from None
    except KeyboardInterrupt:
        typer.echo(f"Stopped; checkpoints lie in {work}. The same command continues.", err=True)
        raise typer.Exit(130) from None


if __name__ == "__main__":
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "true")
    typer.run(main)
