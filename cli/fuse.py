"""`mosaic fuse`: several trained concepts become one adapter."""

from pathlib import Path
from statistics import mean
from typing import Annotated, Any

import typer

from ..configs.base import BaseSettings
from ..configs.fusion import FUSION_METHODS, FusionSettings
from ..configs.loading import resolve
from ..configs.presets import preset_names
from ..models.adapter_file import read_metadata
from ..models.concepts import ADAPTER_FILE, find_adapter
from .boundary import guarded
from .console import console, print_table
from .options import ConceptsDir, examples

EPILOG = examples(
    ("mosaic fuse harry hermione --out couple", "one adapter that knows both"),
    ('mosaic gen --tile-lora couple --tile-prompt "<harry> with <hermione>"', "and its use"),
    ("mosaic fuse harry hermione --out couple --method sum", "to compare with"),
)
WORST = 5  # layers that the table names

Names = Annotated[
    list[str], typer.Argument(metavar="CONCEPT...", help="Trained concepts.", show_default=False)
]
Out = Annotated[str, typer.Option(metavar="NAME|FOLDER", help="What the fused concept is called.")]
Method = Annotated[str, typer.Option(help=f"How: {', '.join(FUSION_METHODS)}.")]
Ridge = Annotated[float, typer.Option(help="What holds fitted layers to the base, above 0.")]


@guarded("Close other programs.")
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
    target = (Path(out) if len(Path(out).parts) > 1 else folder / out) / ADAPTER_FILE
    from ..train.fusing import fuse_concepts

    facts = fuse_concepts(paths, target, base_of(paths[0]), settings)
    show_residuals(facts)
    console().print(f"The adapter: {target}", soft_wrap=True, markup=False)


def base_of(path: Path) -> BaseSettings:
    """The base that an adapter was trained for: a preset of ours, or its folder."""
    told = read_metadata(path)["base"]
    known = told["name"] in preset_names("base")
    return resolve(base=told["name"] if known else told["source"]).base


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
