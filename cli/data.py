"""`mosaic concept check`, `masks` and `captions`: a concept's photos before they are trained on."""

from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from ..configs.errors import InputError
from ..configs.loading import resolve
from ..configs.progress import reporting
from ..models.concept_files import CHECK_SHEET
from ..models.concepts import find_concept
from .boundary import guarded
from .console import console, print_table
from .groups import Group
from .options import Base, ConceptsDir, examples

EPILOG = examples(
    ("mosaic concept check concepts/pim", "what is wrong with the photos, as a table and a sheet"),
    ("mosaic concept masks concepts/pim", "masks where there are none (BiRefNet)"),
    ("mosaic concept captions concepts/pim", "captions where there are none (BLIP)"),
)

NO_FACES = "Photos of several faces are not told. To have them told: pip install 'smalti[faces]'"

Folder = Annotated[
    str, typer.Argument(metavar="CONCEPT_DIR", help="Folder of photos, or the name of one.")
]

app = typer.Typer(
    cls=Group,
    help="Check a concept's photos, and fill in masks and captions.",
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    add_completion=False,
    no_args_is_help=True,
    epilog=EPILOG,
)


@app.command()
@guarded()
def check(
    folder: Folder,
    *,
    base: Base = None,
    out: Annotated[
        str | None,
        typer.Option(metavar="FILE", help="The sheet.", show_default=f"CONCEPT_DIR/{CHECK_SHEET}"),
    ] = None,
    concepts_dir: ConceptsDir = "concepts",
) -> None:
    """Look the photos, masks and captions through; writes a sheet with a verdict under each photo.

    Exit code 1 when something is bad: such photos spoil a training.
    """
    from ..train.data.check import check_folder
    from ..train.data.sheet import table_of, write_sheet

    found = find_concept(folder, Path(concepts_dir))
    sheet = Path(out) if out else found / CHECK_SHEET
    settings = resolve(base=base, concept_toml=found / "concept.toml")
    with reporting(None, found.name) as report:
        checked = check_folder(found, settings.base, report=report)
    write_sheet(checked, sheet)
    marks = {"bad": "red", "warning": "yellow", "": "green"}
    (header, _), *rows = table_of(checked)
    shown = [
        (*map(escape, cells[:-1]), f"[{marks[level]}]{escape(cells[-1])}[/]")
        for cells, level in rows
    ]
    print_table(f"Photos in {found}/", header, shown)
    console().print(f"\nThe sheet: {sheet}", soft_wrap=True, markup=False)
    if not checked.counts_faces:
        console().print(NO_FACES, soft_wrap=True, markup=False)
    if checked.is_bad:
        raise typer.Exit(1)


@app.command()
@guarded(resumes=True)
def masks(
    folder: Folder,
    *,
    model: Annotated[
        str | None,
        typer.Option(metavar="FILE", help="A segmentation network.", show_default="BiRefNet"),
    ] = None,
    concepts_dir: ConceptsDir = "concepts",
) -> None:
    """Write NAME.mask.png beside each photo that has no mask; yours are left as they are."""
    from ..train.data.masks import fill_masks, open_segmenter

    found = find_concept(folder, Path(concepts_dir))
    segment = open_segmenter(Path(model) if model else None)
    with reporting(None, found.name) as report:
        _tell(fill_masks(found, segment, report), "masks")


@app.command()
@guarded(resumes=True)
def captions(
    folder: Folder,
    *,
    model: Annotated[
        str | None,
        typer.Option(metavar="FOLDER", help="A captioning network.", show_default="BLIP"),
    ] = None,
    concepts_dir: ConceptsDir = "concepts",
) -> None:
    """Write NAME.txt beside each photo that has no caption; yours are left as they are."""
    from ..train.concept import read_class_word
    from ..train.data.descriptions import fill_captions, open_captioner

    found = find_concept(folder, Path(concepts_dir))
    if not (word := read_class_word(found)):
        raise InputError(
            f'{found} has no class word, for which <concept> would stand. Write class_word = "cup" '
            "into its concept.toml."
        )
    describe = open_captioner(Path(model) if model else None)
    with reporting(None, found.name) as report:
        _tell(fill_captions(found, describe, word, report), "captions")


def _tell(written: list[Path], what: str) -> None:
    console().print(f"{len(written)} {what} written.")
    for path in written:
        console().print(str(path), soft_wrap=True, markup=False)
