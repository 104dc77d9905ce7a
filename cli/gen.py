"""`mosaic-gen`: make a mosaic whose tiles are all newly drawn."""

import hashlib
import re
import unicodedata
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Annotated, Any

import typer

from ..configs.errors import InputError
from ..configs.files import read_json
from ..configs.loading import resolve
from ..configs.methods import SmaltiSettings
from ..configs.presets import preset_names
from ..configs.progress import Report, reporting
from ..configs.settings import MosaicSettings, Settings
from .boundary import guarded
from .console import console, print_facts, print_settings, say_licence
from .options import Base, ConceptsDir, Config, DryRun, Overrides, Version, examples, with_settings

EPILOG = examples(
    ("mosaic-gen --tile-lora pim --ref-lora bolt", "bolt from afar, pim in each tile"),
    (
        "mosaic-gen --tile-lora pim --tile-lora bolt --ref photo.jpg --level 4",
        "a photo in 16 x 16 tiles of both",
    ),
    (
        'mosaic-gen --ref-lora pim --ref-lora bolt --ref-prompt "<pim> and <bolt> in a garden"',
        "both in the reference, each in its half",
    ),
    (
        'mosaic-gen --tile-prompt "a cup of coffee" --ref-prompt "a castle on a hill"',
        "no concept at all",
    ),
    ("mosaic-gen --tile-lora pim --ref photo.jpg --grid 12x16 --base sd21", "on a GPU"),
    ("mosaic-gen --tile-lora pim --ref photo.jpg --preset draft", "a proof in seconds"),
    ("mosaic-gen --tile-lora pim --ref photo.jpg --preset paper", "the paper's method"),
    ('mosaic-gen --tile-prompt "a red flower" --ref photo.jpg --method quilt', "to compare with"),
    (
        'mosaic-gen --tile-lora cat.safetensors --tile-trigger "a sks cat" --ref photo.jpg',
        "a LoRA that another trainer made",
    ),
    ("mosaic-gen --tile-lora sylvie --ref photo.jpg --print 60x40cm", "a grid for a print"),
    ("mosaic-gen --tile-lora pim --ref photo.jpg --tile-photos guests", "real photos among them"),
    ("mosaic-gen --out mosaics/mine --retile 3,5 --seed 7", "row 3, column 5 drawn anew"),
    ("mosaic-gen --out mosaics/mine --take-back 3,5", "and the old one put back"),
    resumes=True,
)
SLUG_BYTES = 60  # four of them stay below the 255 that file systems allow
LESS_MEMORY = "Take --batch-size 1, a smaller --tile-size, or on a GPU --mixed-precision bf16."

Out = Annotated[
    str | None,
    typer.Option(
        metavar="FOLDER", help="Where the mosaic goes.", show_default="mosaics/TILES-REFERENCE"
    ),
]
Preset = Annotated[
    str | None,
    typer.Option(help=f"Mosaic preset: {', '.join(preset_names('mosaic'))}."),
]
Retile = Annotated[
    list[str] | None,
    typer.Option(
        metavar="ROW,COL",
        help="Draw only this tile of a finished mosaic anew, with another --seed; "
        "counted from 0, repeatable.",
    ),
]
TakeBack = Annotated[
    list[str] | None,
    typer.Option(
        metavar="ROW,COL",
        help="Put back the tile that was there before --retile; once more brings the new one back.",
    ),
]
Print = Annotated[
    str | None,
    typer.Option(
        "--print",
        metavar="SIZE|PRODUCT",
        help="Choose the grid for a print: WIDTHxHEIGHT in cm, mm or in, such as 60x40cm, or a "
        "product (see mosaic products); tiles are at least 13 mm wide.",
    ),
]

Show = Annotated[
    bool, typer.Option("--show", help="Show the picture in the terminal while it is drawn.")
]

app = typer.Typer(rich_markup_mode="rich", pretty_exceptions_enable=False, add_completion=False)


@app.command(epilog=EPILOG)
@guarded(LESS_MEMORY, resumes=True)
@with_settings(
    "mosaic", "tile_lora", "tile_trigger", "tile_prompt", "ref", "ref_lora", "ref_trigger",
    "ref_prompt", "region", "negative_prompt",
    "crop", "level", "grid", "tile_size", "seed", "steps", "scheduler", "cfg_scale", "lora_scale",
    "tile_photos", "photo_share", "photos_in", "photo_places", "photo_mode",
    "photo_keep",
    "method", "noise", "color", "guidance", "guide", "low_pass_cells",
    "guidance_strength", "target_ssim", "tint", "compile", "mixed_precision", "batch_size",
)  # fmt: skip
def gen(
    *,
    out: Out = None,
    base: Base = None,
    preset: Preset = None,
    print_as: Print = None,
    retile: Retile = None,
    take_back: TakeBack = None,
    overrides: Overrides = None,
    config: Config = None,
    concepts_dir: ConceptsDir = "concepts",
    dry_run: DryRun = False,
    show: Show = False,
    version: Version = False,
    options: dict[str, Any],
) -> None:
    """Make a mosaic: near, each tile shows your concept; from afar, the tiles are the reference."""
    tiles = [parse_tile(text) for text in retile or ()]
    given = {
        "base": base,
        "mosaic": preset,
        "config": Path(config) if config else None,
        "options": {name: None if value == [] else value for name, value in options.items()},
        "overrides": overrides or (),
    }
    layout = fit_print(print_as, given)
    target = Path(out) if out else default_out(resolve(**given).mosaic)
    if tiles:
        from ..generate.retile import recorded_tables

        given["recorded"] = recorded_tables(target)
    settings = resolve(**given)
    say_licence(settings.base)
    target.exists()  # a name that no folder can have is found out here
    if take_back:
        exchange(target, take_back, tiles, dry_run=dry_run)
    elif dry_run:
        show_plan(settings, target, tiles, Path(concepts_dir), layout)
    else:
        make(settings, target, tiles, Path(concepts_dir), show=show)


def exchange(
    target: Path, texts: Sequence[str], retile: Sequence[tuple[int, int]], *, dry_run: bool
) -> None:
    """Put the tiles back that were there before, and say where the mosaic is."""
    from ..generate.undo import kept_tiles, take_back

    if retile:
        raise InputError("--retile and --take-back are two commands; give one of them at a time.")
    tiles = [parse_tile(text, "--take-back") for text in texts]
    if dry_run:
        kept_tiles(target, tiles)
        print_facts(f"Mosaic {target}", {"taken back": "; ".join(f"{r},{c}" for r, c in tiles)})
        return
    console().print(f"The mosaic: {take_back(target, tiles)}", soft_wrap=True, markup=False)


def fit_print(text: str | None, given: dict[str, Any]) -> str:
    """Choose the grid for a print that a user names, and tell in a sentence how it is printed."""
    if text is None:
        return ""
    from ..studio.press.sizes import layout_for

    options = given["options"]
    typed = {override.partition("=")[0].strip() for override in given["overrides"]}
    names = ("mosaic.grid", "mosaic.level")
    if any(options[name] is not None or name in typed for name in names):
        raise InputError("--print chooses the grid; leave --grid and --level out.")
    layout = layout_for(text, resolve(**given))
    options["mosaic.grid"] = f"{layout.rows}x{layout.cols}"
    return layout.sentence()


def make(
    settings: Settings,
    target: Path,
    tiles: Sequence[tuple[int, int]],
    concepts: Path,
    *,
    show: bool,
) -> None:
    """Make the mosaic, and say where it is and how near it came."""
    with shown_in_terminal(settings, target) if show else nullcontext() as report:
        from ..generate.mosaic import generate_mosaic

        made = generate_mosaic(
            settings, target, concepts_dir=concepts, retile=tiles, progress=report
        )
    if metrics := outcome(made.parent):
        typer.echo(f"mosaic: {metrics}", err=True)  # standard output has the answer only
    console().print(f"The mosaic: {made}", soft_wrap=True, markup=False)


def shown_in_terminal(settings: Settings, target: Path) -> AbstractContextManager[Report]:
    """The bar with the picture above it, or the bar alone where no picture can be shown."""
    from ..generate.grid import make_grid
    from .preview import preview_of

    return reporting(None, "mosaic", above=preview_of(target, make_grid(settings)))


def show_plan(
    settings: Settings,
    target: Path,
    tiles: Sequence[tuple[int, int]],
    concepts: Path,
    layout: str = "",
) -> None:
    """Print what would be done and with what; layout: how it is to be printed."""
    if tiles:
        from ..generate.retile import plan_retile

        plan = plan_retile(settings, target, tiles, concepts_dir=concepts)
    else:
        from ..generate.plan import plan_mosaic

        plan = plan_mosaic(settings, concepts_dir=concepts)
    print_facts(f"Mosaic {target}", plan.facts() | ({"print": layout} if layout else {}))
    print_settings(plan.settings, "base", "mosaic")


def outcome(folder: Path) -> str:
    """How near a mosaic came to its reference, and how it was pulled; empty if nobody wrote it."""
    from ..generate.store import RECORD

    record = read_json(folder / RECORD) or {}
    if not (metrics := record.get("metrics")):
        return ""
    seen = f"PSNR {metrics['psnr_64']:.1f} dB and SSIM {metrics['ssim_64']:.2f} at 64 px"
    pull = record.get("guidance_strength")
    repeats = metrics.get("near_repeats")
    pairs = "1 pair" if repeats == 1 else f"{repeats} pairs"
    twins = f", {pairs} of neighbours that look alike" if repeats else ""
    return seen + (f", guidance strength {pull:g}" if pull else "") + twins


def parse_tile(text: str, option: str = "--retile") -> tuple[int, int]:
    """Read "ROW,COL"; raises InputError for anything else."""
    match = re.fullmatch(r"\s*(\d{1,9})\s*,\s*(\d{1,9})\s*", text)
    if match is None:
        raise InputError(f'{option} needs ROW,COL counted from 0, such as 3,5, not "{text}".')
    return int(match[1]), int(match[2])


def default_out(settings: MosaicSettings) -> Path:
    """Return mosaics/TILES-REFERENCE[-METHOD][-PHOTOS], which the same command finds again."""
    picture = settings.picture
    tiles = "-".join(picture.tile_lora or picture.tile_prompt)
    if settings.own_pictures:
        tiles = Path(settings.method.pool).name
    reference = "-".join(picture.ref_lora) or Path(picture.ref).stem or picture.ref_prompt
    method = "" if isinstance(settings.method, SmaltiSettings) else settings.method.name
    photos = Path(settings.photos.tile_photos or settings.photos.photo_places).stem
    parts = (tiles, reference, method, photos)
    return Path("mosaics") / ("-".join(slug(text) for text in parts if text) or "mosaic")


def slug(text: str) -> str:
    """A text as part of a folder's name: its letters and digits, of any script.

    Where that cuts it or leaves nothing, a few digits of its hash tell it from others.
    """
    composed = unicodedata.normalize("NFC", text).lower()
    kept = [char if unicodedata.category(char)[0] in "LMN" else "-" for char in composed]
    plain = re.sub("-+", "-", "".join(kept)).strip("-")
    cut = plain.encode()[:SLUG_BYTES].decode(errors="ignore").rstrip("-")
    if plain and cut == plain:
        return plain
    digits = hashlib.sha256(text.encode(errors="surrogateescape")).hexdigest()[:6]
    return f"{cut}-{digits}".lstrip("-")


def run() -> None:
    """Entry point of `mosaic-gen`."""
    app()


if __name__ == "__main__":
    run()
