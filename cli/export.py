"""`mosaic export`: a concept's adapter as files that other programs read."""

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..configs.errors import InputError
from ..configs.loading import resolve
from ..configs.progress import reporting
from ..configs.settings import Settings
from ..models.adapter_file import base_choice
from ..models.concepts import find_adapter
from .boundary import guarded
from .console import console
from .options import Base, ConceptsDir, examples

if TYPE_CHECKING:
    from ..models.exchange.own import OwnAdapter
    from ..train.concept import Concept
    from ..train.retune import Likeness, Retuned

NAMES = ("kohya", "diffusers", "xti", "embedding")
EPILOG = examples(
    ("mosaic export pim --to kohya", "a LoRA that every user interface reads"),
    ("mosaic export pim --to embedding", "its words, one vector each, retuned"),
    ("mosaic export pim --to xti --out pim-xti.safetensors", "its layer-wise words"),
)
FOLDER = "export"
"""Where exported files lie in a concept's folder."""

To = Annotated[str, typer.Option("--to", metavar="FORMAT", help=f"Of {', '.join(NAMES)}.")]
Out = Annotated[
    str | None,
    typer.Option(metavar="FILE", help="The file.", show_default=f"CONCEPT_DIR/{FOLDER}/..."),
]
Replace = Annotated[bool, typer.Option("--replace", help="Overwrite a file that is there.")]
Steps = Annotated[
    int,
    typer.Option(
        min=0,
        max=100_000,
        help="Steps that retune layer-wise words for --to embedding; 0 takes their mean.",
    ),
]


@guarded()
def export(
    concept: Annotated[
        str, typer.Argument(metavar="NAME", help="A trained concept, its folder or file.")
    ],
    *,
    to: To,
    out: Out = None,
    replace: Replace = False,
    steps: Steps = 60,
    base: Base = None,
    concepts_dir: ConceptsDir = "concepts",
) -> None:
    """Write a concept in a format that others read, and say what the format cannot hold."""
    from ..models.exchange.export import FORMATS, refuse_existing
    from ..models.exchange.export import export as write
    from ..models.exchange.metadata import base_facts
    from ..models.exchange.own import read_own

    if to not in FORMATS:
        raise InputError(f'--to must be one of {", ".join(FORMATS)}; "{to}" is not.')
    path = find_adapter(concept, Path(concepts_dir))
    own = read_own(path)
    target = Path(out) if out else path.parent / FOLDER / f"{own.name}{FORMATS[to].ending}"
    target = target if out else target.with_name(f"{target.name}.safetensors")
    refuse_existing(target, replace=replace)
    settings = _settings(own, base, path.parent)
    told = []
    if to == "embedding" and own.layerwise:
        own, told = retuned(own, settings, steps)
    for line in [*write(own, to, base_facts(own, settings.base), target), *told]:
        typer.echo(f"export: {line}", err=True)
    console().print(str(target), soft_wrap=True, markup=False)


def _settings(own: "OwnAdapter", base: str | None, folder: Path) -> Settings:
    """Settings for the base that the adapter was trained for."""
    return resolve(base=base or base_choice(own.metadata), concept_toml=folder / "concept.toml")


def retuned(own: "OwnAdapter", settings: Settings, steps: int) -> tuple["OwnAdapter", list[str]]:
    """The adapter with words of one vector each, and a line of what that costs."""
    from dataclasses import replace

    from ..train.concept import load_concept
    from ..train.retune import retune

    if not steps:
        line = "Their mean is not retuned (--steps 0); how much likeness it costs is not measured."
        return own, [line]
    concept = load_concept(own.path.parent, own.metadata.get("class_word", ""))
    with reporting(None, own.name, "it") as report:
        report(0, steps, "loading the base model")
        found = retune(
            own.path, concept, settings, steps, likeness=_judge(settings, concept), report=report
        )
    return replace(own, words=found.words[:, None]), [_cost(found, steps)]


def _judge(settings: Settings, concept: "Concept") -> "Likeness | None":
    """Likeness to the concept's photos: by starter-CLIP on the starter, else by CLIP if here."""
    from ..evaluate.judge import STARTER_CLIP, Judge
    from ..evaluate.likeness import likeness, photo_features
    from ..evaluate.networks import CLIP

    folder = STARTER_CLIP if settings.base.name == "starter" else CLIP.folder()
    if folder is None:
        return None
    judge = Judge(folder)
    photos = photo_features(judge, [item.path for item in concept.images])
    return partial(likeness, judge, photos=photos)


def _cost(found: "Retuned", steps: int) -> str:
    if found.layerwise is None or found.mean is None or found.retuned is None:
        return f"Retuned for {steps} steps; CLIP is not here, so likeness was not measured."
    best = max(found.mean, found.retuned)
    return (
        f"One vector per word stands for those of all layers. Likeness: {found.layerwise:.3f} with "
        f"one per layer, {found.mean:.3f} with their mean, {found.retuned:.3f} with one after "
        f"{steps} steps; the better one is written ({best - found.layerwise:+.3f})."
    )
