"""`mosaic concepts`: which there are, and another of a concept's judged checkpoints."""

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.markup import escape

from ..configs.errors import InputError
from ..models.concept_files import concept_files
from ..models.concepts import ADAPTER_FILE, WORK_FOLDER, concept_folders, find_concept
from .boundary import guarded
from .console import console, print_table
from .groups import Group
from .options import ConceptsDir

app = typer.Typer(
    cls=Group, rich_markup_mode="rich", pretty_exceptions_enable=False, add_completion=False
)


@app.callback(invoke_without_command=True)
@guarded()
def concepts(context: typer.Context, concepts_dir: ConceptsDir = "concepts") -> None:
    """List the concepts: trained or not, with which base, how long, how alike, how large.

    Likeness and obedience are those of the written step, where checkpoints were judged.
    """
    if context.invoked_subcommand:
        context.default_map = {context.invoked_subcommand: {"concepts_dir": concepts_dir}}
        return
    folder = Path(concepts_dir)
    found = [describe_concept(path) for path in concept_folders(folder)]
    if not found:
        console().print(
            f"No concepts in {folder}/. Put at least 3 images into {folder}/NAME/ and type: "
            f"mosaic-train {folder}/NAME",
            soft_wrap=True,
            markup=False,
        )
        return
    columns = (
        "name", "images", "trained", "base", "method", "rank", "steps", "likeness", "obedience",
        "size",
    )  # fmt: skip
    rows = [[escape(str(facts.get(column, ""))) for column in columns] for facts in found]
    print_table(f"Concepts in {folder}/", columns, rows)


@app.command()
@guarded()
def pick(
    concept: Annotated[str, typer.Argument(help="Name of a concept, or its folder.")],
    step: Annotated[int, typer.Argument(help="A judged step; .training/judged.png shows them.")],
    concepts_dir: ConceptsDir = "concepts",
) -> None:
    """Make another judged checkpoint a concept's adapter."""
    from ..train.judged import pick as choose

    adapter = choose(find_concept(concept, Path(concepts_dir)), step)
    console().print(f"The adapter: {adapter}, of step {step}", soft_wrap=True, markup=False)


def describe_concept(folder: Path) -> dict[str, Any]:
    """Return what `mosaic concepts` shows of a concept, by column.

    An adapter that cannot be read is said to be damaged; the listing goes on.
    """
    adapter = folder / ADAPTER_FILE
    facts = {"name": folder.name, "images": len(concept_files(folder).photos), "trained": "no"}
    if not adapter.is_file():
        started = (folder / WORK_FOLDER).is_dir()
        return facts | {"trained": "started" if started else "no"}
    facts |= {"size": f"{adapter.stat().st_size / 1e6:.1f} MB", "trained": "yes"}
    return facts | _read_adapter(adapter)


def _read_adapter(adapter: Path) -> dict[str, Any]:
    from ..models.adapter_file import read_metadata

    try:
        metadata = read_metadata(adapter)
    except InputError:
        return {"trained": "damaged"}
    facts = {key: metadata.get(key, "") for key in ("method", "rank", "class_word")}
    facts["base"] = metadata.get("base", {}).get("name", "")
    facts["steps"] = metadata.get("steps") or metadata.get("training", {}).get("steps", "")
    return facts | _judgement(adapter.parent, facts["steps"])


def _judgement(folder: Path, steps: object) -> dict[str, str]:
    """What the adapter's checkpoint reached, where it was judged."""
    from ..train.judged import reached

    if (found := reached(folder, steps)) is None:
        return {"likeness": "not judged"}
    one, of = found
    return {
        "steps": f"{one.step} of {of}", "likeness": f"{one.likeness:.3f}",
        "obedience": f"{one.obedience:.3f}",
    }  # fmt: skip
