"""`mosaic`: every command under one name, and three that tell what is there."""

import typer
from rich.markup import escape

from ..configs.base import BaseSettings
from ..configs.presets import load_base_preset, preset_names
from . import compare as comparison
from . import data, export, fuse, gen, orders, press, screen, train
from . import eval as evaluation
from . import page as browser
from .boundary import guarded
from .concepts import app as concepts
from .console import console, print_table
from .options import Version, examples

EPILOG = examples(
    ("mosaic train concepts/pim", "same as mosaic-train"),
    ("mosaic gen --tile-lora pim --ref photo.jpg", "same as mosaic-gen"),
    ("mosaic eval --presets draft --grid 4x4", "the paper's evaluation"),
    ("mosaic print mosaics/mine --size 60x60cm", "what a lab prints"),
    ("mosaic orders run orders.csv", "a studio's day"),
    ("mosaic concept check concepts/pim", "what is wrong with the photos"),
    ("mosaic export pim --to kohya", "a file that other programs read"),
    ("mosaic doctor", "what is installed, what is missing, what to type"),
    resumes=True,
)

app = typer.Typer(
    help="smalti: photomosaics whose every tile is newly drawn and shows your own subject.",
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    add_completion=False,
    no_args_is_help=True,
    epilog=EPILOG,
)
app.command("train", epilog=train.EPILOG)(train.train)
app.command("gen", epilog=gen.EPILOG)(gen.gen)
app.command("compare", epilog=comparison.EPILOG)(comparison.compare)
app.add_typer(concepts, name="concepts")
app.command("eval", epilog=evaluation.EPILOG)(evaluation.evaluation)
app.command("fuse", epilog=fuse.EPILOG)(fuse.fuse)
app.command("export", epilog=export.EPILOG)(export.export)
app.add_typer(data.app, name="concept")
app.command("print", epilog=press.EPILOG)(press.print_)
app.command()(press.products)
app.command()(press.proof)
app.command("view", epilog=screen.VIEW)(screen.view)
app.command("clip", epilog=screen.CLIP)(screen.clip)
app.command()(press.verify)
app.command("page", epilog=browser.EPILOG)(browser.page)
app.add_typer(orders.app, name="orders")


@app.command()
@guarded()
def doctor() -> None:
    """Tell what is there, what is missing and what to type.

    Exit code 1 when something that smalti needs is missing.
    """
    from .doctor import CARD_COLUMNS, card_rows, examine

    checks = examine()
    marks = {"ok": "[green]ok[/]", "missing": "[red]missing[/]", "optional": "[yellow]optional[/]"}
    rows = [(marks[c.state], c.name, escape(c.found), escape(c.advice)) for c in checks]
    print_table("", ("", "what", "found", "what to do"), rows)
    print_table("\nWhat a card holds of each base", CARD_COLUMNS, card_rows())
    missing = sum(check.state == "missing" for check in checks)
    console().print(
        f"\n{missing} missing." if missing else "\nEverything that smalti needs is there."
    )
    if missing:
        raise typer.Exit(1)


@app.command()
@guarded()
def bases() -> None:
    """List the known base models and whether each is on this machine."""
    from ..models.locate import is_present

    rows = []
    for name in preset_names("base"):
        settings = BaseSettings(**load_base_preset(name)["base"])
        there = is_present(settings)
        fetch = f"fetched at first use ({settings.size_gb:g} GB)"
        state = "[green]here[/]" if there else fetch
        if not there and settings.source.startswith("models/"):
            state = "[red]not in this installation[/]; make starter"
        licence = ": ".join(filter(None, (settings.license, settings.license_note)))
        rows.append((name, f"{settings.resolution} px", state, settings.source, licence))
    print_table("Base models", ("name", "tile", "state", "source", "licence"), rows)
    console().print("\nAny folder in diffusers' layout works too: --base FOLDER")


@app.callback(invoke_without_command=True)
def main(version: Version = False) -> None:
    """Answer `mosaic --version`; everything else is done by the commands."""


def run() -> None:
    """Entry point of `mosaic`."""
    app()


if __name__ == "__main__":
    run()
