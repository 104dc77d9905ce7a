"""`mosaic fuse`: several trained concepts become one adapter."""

from pathlib import Path
from statistics import mean
from typing import Annotated, Any

import typer

from ..configs.errors import InputError
from ..configs.files import user_path
from ..configs.fusion import FUSION_METHODS, FusionSettings
from ..configs.loading import resolve
from ..models.adapter_file import base_choice, read_metadata
from ..models.concept_files import concept_files
from ..models.concepts import ADAPTER_FILE, find_adapter
from .boundary import guarded
from .console import console, print_table
from .options import ConceptsDir, examples

EPILOG = examples(
    ("mosaic fuse harry hermione --out couple", "one adapter that knows both"),
    ('mosaic gen --tile-lora couple --tile-prompt "<harry> with <hermione>"', "and its use"),
    ("mosaic fuse harry hermione --out sum --method sum", "to compare with"),
)
WORST = 5  # layers that the table names

Names = Annotated[
    list[str], typer.Argument(metavar="CONCEPT...", help="Trained concepts.", show_default=False)
]
Out = Annotated[str, typer.Option(metavar="NAME|FOLDER", help="What the fused concept is called.")]
Method = Annotated[str, typer.Option(help=f"How: {', '.join(FUSION_METHODS)}.")]
Ridge = Annotated[float, typer.Option(help="What holds fitted layers to the base, above 0.")]


@guarded("Close other programs that use memory.")
def fuse(
    names: Names,
    *,
    out: Out,
    method: Method = FusionSettings.method,
    ridge: Ridge = FusionSettings.ridge,
    concepts_dir: ConceptsDir = "concepts",
) -> None:
    """Make one adapter of several: a concept like any other, that draws all of them.

    Prompts call each by its name, as in "<harry> with <hermione>"; all in one pass of the network.
    """
    settings, folder = FusionSettings(method=method, ridge=ridge), Path(concepts_dir)
    paths = [find_adapter(name, folder) for name in names]
    target = folder_of(out, folder) / ADAPTER_FILE
    from ..train.fusing import fuse_concepts

    base = resolve(base=base_choice(read_metadata(paths[0]))).base
    facts = fuse_concepts(paths, target, base, settings)
    show_residuals(facts)
    console().print(f"The adapter: {target}", soft_wrap=True, markup=False)


def folder_of(out: str, concepts: Path) -> Path:
    """The folder of a fused concept; raises InputError for a file, or where photos lie."""
    given = user_path(out)
    if given.suffix == ".safetensors":
        raise InputError(f"--out names a concept or its folder: give --out {given.stem}.")
    folder = given if len(given.parts) > 1 else concepts / given
    if folder.is_dir() and concept_files(folder).photos:
        raise InputError(f"{folder} holds a concept's photos. Choose another --out.")
    return folder


def show_residuals(facts: dict[str, Any]) -> None:
    """Print how well the fused layers do what each concept's own would."""
    left = facts["residuals"]
    if not left:
        console().print(f"{facts['method']}: the adapters are added.")
        return
    worst = sorted(left, key=left.__getitem__, reverse=True)
    rows = [
        ("mean of text encoder", _mean(v for n, v in left.items() if n.startswith("text"))),
        ("mean of network", _mean(v for n, v in left.items() if n.startswith("unet"))),
        *((name, f"{left[name]:.3f}") for name in worst[:WORST]),
    ]
    print_table("What is left of the concepts' changes (0 is none)", ("layers", "residual"), rows)


def _mean(values: Any) -> str:
    found = list(values)
    return f"{mean(found):.3f}" if found else "none"
