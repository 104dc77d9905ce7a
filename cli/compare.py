"""`mosaic compare`: one concept by several training methods, side by side."""

import json
import shutil
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..configs.base import BaseSettings
from ..configs.claim import as_json, check_claim
from ..configs.errors import InputError
from ..configs.files import read_json, user_path, write_json
from ..configs.loading import resolve
from ..configs.machine import MachineSettings
from ..configs.mosaic import changed
from ..configs.settings import Settings
from ..configs.tables import known_facts
from ..configs.train import TRAIN_METHODS
from ..models.concepts import WORK_FOLDER, find_concept
from .boundary import forget_option, guarded
from .console import console
from .options import Base, ConceptsDir, Overrides, examples
from .train import checkpoint_judge

if TYPE_CHECKING:
    from torch import Tensor

    from ..evaluate.jury import Jury
    from ..evaluate.trained import Trained
    from ..generate.engine import Engine
    from ..train.concept import Concept

EPILOG = examples(
    ("mosaic compare concepts/pim", "all methods, one seed"),
    ("mosaic compare concepts/pim --methods edlora,lora --seeds 2", "two methods, two seeds"),
    ("mosaic compare concepts/pim --methods lora --first-seed 2", "one more piece of the same"),
    resumes=True,
)

CLAIM = "compare.json"
"""What all mosaics of a comparison are made of."""

ConceptDir = Annotated[
    str, typer.Argument(metavar="CONCEPT_DIR", help="Folder of images, or the name of one.")
]
Methods = Annotated[str, typer.Option(help=f"Of {', '.join(TRAIN_METHODS)}; all for all.")]
Seeds = Annotated[int, typer.Option(min=1, help="How many trainings of each method.")]
FirstSeed = Annotated[int, typer.Option(min=0, help="The seed of the first of them.")]
Grid = Annotated[str, typer.Option(metavar="ROWSxCOLS", help="Tiles of the mosaic.")]
Ref = Annotated[
    str | None,
    typer.Option(metavar="PHOTO", help="The mosaic's reference.", show_default="the first photo"),
]
Out = Annotated[
    str | None,
    typer.Option(metavar="FOLDER", help="Where all goes.", show_default="runs/compare/CONCEPT"),
]
Restart = Annotated[bool, typer.Option("--restart", help="Forget these trainings, begin anew.")]


@guarded("Take --set train.batch_size=1.", resumes=True)
def compare(
    concept_dir: ConceptDir,
    *,
    methods: Methods = "all",
    seeds: Seeds = 1,
    first_seed: FirstSeed = 0,
    grid: Grid = "6x6",
    ref: Ref = None,
    base: Base = None,
    overrides: Overrides = None,
    concepts_dir: ConceptsDir = "concepts",
    out: Out = None,
    restart: Restart = False,
) -> None:
    """Train a concept by several methods; leaves a table and a sheet of what each makes of it.

    Each training lies in a folder of its own and goes on where it was cut off. The table holds all
    that lie there, also of earlier commands with the same --out.
    """
    from ..evaluate.selection import choose_names
    from ..train.concept import load_concept

    chosen = choose_names(methods, TRAIN_METHODS, "method")
    concept = load_concept(find_concept(concept_dir, Path(concepts_dir)))
    target = user_path(out) if out else Path("runs/compare") / concept.name
    photo = str(user_path(ref)) if ref else str(concept.images[0].path)
    wanted = {"mosaic.grid": grid, "mosaic.ref": photo}
    numbers = range(first_seed, first_seed + seeds)
    pieces = pieces_of(concept, chosen, numbers, base, wanted, overrides or ())
    claim_folder(target, concept, pieces[0])
    again = partial(forget_all, [piece_folder(target, settings) for settings in pieces])
    for settings in pieces:
        first = restart and settings is pieces[0]
        one = trained(concept, settings, target, restart=first, restarted=again)
        judge_all(concept, settings, target, one)
    show_comparison(target, concept.name)


def pieces_of(
    concept: "Concept",
    methods: Sequence[str],
    seeds: Iterable[int],
    base: str | None,
    wanted: Mapping[str, Any],
    overrides: Sequence[str],
) -> list[Settings]:
    """The settings of every training; raises InputError as `resolve` does, before the first."""
    refuse_pieces(overrides)
    return [
        resolve(
            base=base,
            concept_toml=concept.folder / "concept.toml",
            options={"train.method": method, "train.seed": seed, **wanted},
            overrides=read_by(method, methods, overrides),
        )
        for seed in seeds
        for method in methods
    ]


def refuse_pieces(overrides: Sequence[str]) -> None:
    """Raise InputError for settings that tell the trainings apart: they have options here."""
    options = {"train.method": "--methods", "train.seed": "--seeds and --first-seed"}
    for name in (override.partition("=")[0].strip() for override in overrides):
        if name in options:
            raise InputError(f"Here {options[name]} say what {name} is; leave it out of --set.")


def claim_folder(target: Path, concept: "Concept", settings: Settings) -> None:
    """Begin a comparison, or go on with it: all mosaics of one table are of the same reference.

    Raises InputError for a mosaic that could not be drawn, before hours of training, and where
    the mosaics of the folder are others.
    """
    from ..generate.plan import plan_mosaic

    bare = changed(settings.mosaic, tile_prompt=(f"a {concept.class_word}",))
    plan = plan_mosaic(replace(settings, mosaic=bare), concepts_dir=concept.folder.parent)
    if begun := read_json(target / CLAIM):
        check_claim(
            begun,
            as_json(plan.identity),
            what=f"The comparison in {target} was begun",
            remedy="Give the same again, or another --out.",
            defaults=as_json(Settings().mosaic.identity()),
        )
    else:
        write_json(target / CLAIM, plan.identity)


def piece_folder(target: Path, settings: Settings) -> Path:
    """Where one training lies."""
    return target / f"{settings.train.method}-seed{settings.train.seed}"


def forget_all(folders: Sequence[Path]) -> None:
    """Remove earlier work of all these trainings: what is done from now on is kept."""
    from ..train.judged import forget

    for folder in folders:
        forget(folder / WORK_FOLDER)
    forget_option("--restart")


def show_comparison(target: Path, name: str) -> None:
    """Write table and sheet of all that lies in a folder, and print the table."""
    from ..evaluate.method_table import write_comparison

    table, sheet = write_comparison(target, f"Training methods: {name}")
    console().print(table.read_text(encoding="utf-8"), soft_wrap=True, markup=False)
    console().print(f"The table: {table}\nThe sheet: {sheet}", soft_wrap=True, markup=False)


def read_by(method: str, chosen: Sequence[str], overrides: Sequence[str]) -> list[str]:
    """The overrides that a method reads, and those that none does, which will be refused."""
    facts = known_facts("train")

    def is_anothers(override: str) -> bool:
        section, _, name = override.partition("=")[0].partition(".")
        readers = facts[name].methods if section == "train" and name in facts else ()
        return method not in readers and any(other in readers for other in chosen)

    return [override for override in overrides if not is_anothers(override)]


def trained(
    concept: "Concept",
    settings: Settings,
    target: Path,
    *,
    restart: bool,
    restarted: Callable[[], None],
) -> "Trained":
    """Train by one method with one seed, unless that is done; as `train_concept` restarts."""
    from ..evaluate.trained import Trained
    from ..train.earlier import log_path
    from ..train.trainer import train_concept

    train, folder = settings.train, piece_folder(target, settings)
    share_pictures(target, folder, train.seed)
    judge = checkpoint_judge(concept.folder, settings)
    adapter = train_concept(
        concept.folder, settings, into=folder, judge=judge, restart=restart, restarted=restarted
    )
    lines = log_path(folder / WORK_FOLDER).read_text(encoding="utf-8").splitlines()
    seconds = sum(json.loads(line)["seconds"] for line in lines)
    return Trained(train.method, train.seed, adapter, concept.class_word, seconds)


def share_pictures(target: Path, folder: Path, seed: int) -> None:
    """Take over what other trainings have drawn and encoded: names say of what it was made."""
    work = folder / WORK_FOLDER
    for drawn in sorted(target.glob(f"*/{WORK_FOLDER}/class-*")):
        if not (work / drawn.name).exists():
            shutil.copytree(drawn, work / drawn.name)
    for latents in sorted(target.glob(f"*-seed{seed}/{WORK_FOLDER}/latents-*.safetensors")):
        if not (work / latents.name).exists():
            work.mkdir(parents=True, exist_ok=True)
            shutil.copy2(latents, work / latents.name)


def judge_all(concept: "Concept", settings: Settings, target: Path, one: "Trained") -> None:
    """Judge a training, and once the bare base, and leave the results in their folders."""
    from ..evaluate.method_table import BARE
    from ..evaluate.trained import scored

    jury, photos = jury_for(settings.base.name, tuple(item.path for item in concept.images))
    engine = engine_for(settings.base, settings.mosaic.machine)
    bare = replace(one, method=BARE, seed=0, adapter=None, seconds=0.0)
    for thing, folder in ((bare, target / "class-word"), (one, piece_folder(target, settings))):
        scored(engine, settings, thing, folder, jury, photos)


@cache
def jury_for(base: str, photos: tuple[Path, ...]) -> "tuple[Jury, Tensor]":
    """Who judges trainings on a base, and what they see in the photos [P, D]; read once."""
    from ..evaluate.jury import find_jury
    from ..evaluate.likeness import photo_features

    jury = find_jury(base)
    return jury, photo_features(jury.alike, photos)


@cache
def engine_for(base: BaseSettings, machine: MachineSettings) -> "Engine":
    """An engine for a base, opened once."""
    from ..generate.engine import open_engine

    return open_engine(base, machine)
