"""`mosaic print`, `products`, `proof` and `verify`: what a lab and a customer get."""

from pathlib import Path
from typing import Annotated

import typer

from ..configs.errors import InputError
from ..configs.presets import preset_names
from ..configs.product import ProductSettings, load_product, product_facts, with_changes
from .boundary import guarded
from .console import console, print_facts, print_table
from .options import examples

EPILOG = examples(
    ("mosaic print mosaics/mine --size 60x60cm", "a TIFF of that size with 3 mm of bleed"),
    ("mosaic print mosaics/mine --product poster-50x70 --dry-run", "how it would look"),
    ("mosaic print mosaics/mine --product lab.toml --profile lab.icc", "a lab's own"),
    ("mosaic proof mosaics/mine --size 60x60cm --word PROOF", "what a customer approves"),
    ("mosaic print mosaics/mine --size 2x2m --panels 2x3 --dpi 100", "in six sheets"),
)

Folder = Annotated[
    str, typer.Argument(metavar="FOLDER", help="Folder of a finished mosaic.", show_default=False)
]
Size = Annotated[
    str | None,
    typer.Option(metavar="WIDTHxHEIGHT", help="Size in mm, cm, m or in, such as 60x40cm."),
]
Product = Annotated[
    str | None, typer.Option(metavar="NAME|FILE", help="A product (see mosaic products), or TOML.")
]
Out = Annotated[
    str | None,
    typer.Option(metavar="FILE|FOLDER", help="Where it goes.", show_default="FOLDER/print"),
]
Format = Annotated[str | None, typer.Option("--format", help=f"Of {product_facts('format')}.")]
Profile = Annotated[
    str | None,
    typer.Option(metavar="NAME|FILE", help="srgb, adobe-rgb, display-p3 or a lab's ICC file."),
]
Intent = Annotated[str | None, typer.Option(help=f"Rendering intent: {product_facts('intent')}.")]
Bleed = Annotated[float | None, typer.Option(metavar="MM", help="Printed beyond each edge.")]
Dpi = Annotated[int | None, typer.Option(help="Pixels per inch of the file.")]
Panels = Annotated[
    str | None, typer.Option(metavar="ROWSxCOLS", help="Cut it into sheets with cut marks.")
]
Sign = Annotated[
    tuple[str, str] | None,
    typer.Option(metavar="CERT KEY", help="Sign with C2PA: PEM files of a chain and its key."),
]
DryRun = Annotated[
    bool, typer.Option("--dry-run", "-n", help="Say how it would be printed; write nothing.")
]


@guarded()
def print_(
    folder: Folder,
    *,
    size: Size = None,
    product: Product = None,
    out: Out = None,
    format_: Format = None,
    profile: Profile = None,
    intent: Intent = None,
    bleed: Bleed = None,
    dpi: Dpi = None,
    panels: Panels = None,
    sign: Sign = None,
    dry_run: DryRun = False,
) -> None:
    """Write what a lab prints: right size, bleed, colour profile and resolution."""
    from ..studio.press.finished import open_finished
    from ..studio.press.printing import layout_of, print_mosaic, product_for
    from ..studio.press.provenance import make_signer

    target = Path(out) if out else None
    mosaic = open_finished(Path(folder))
    chosen = with_changes(
        product_for(_chosen(size, product), target),
        format=format_, profile=profile, intent=intent, bleed=bleed, dpi=dpi, panels=panels,
    )  # fmt: skip
    layout = layout_of(mosaic, chosen, turn=size is None)
    for line in [layout.sentence(), *layout.warnings()]:
        typer.echo(f"print: {line}", err=True)
    if dry_run:
        return
    signer = make_signer(*sign) if sign else None
    for path in print_mosaic(mosaic, layout.product, target, signer=signer):
        console().print(str(path), soft_wrap=True, markup=False)


def _chosen(size: str | None, product: str | None) -> ProductSettings:
    from ..studio.press.sizes import sized

    if (size is None) == (product is None):
        raise InputError("Give either --size, such as 60x40cm, or --product; see mosaic products.")
    return sized(size) if size is not None else load_product(str(product))


@guarded()
def products() -> None:
    """List the products that a mosaic can be printed as."""
    rows = []
    for name in preset_names("product"):
        product = load_product(name)
        cm = f"{product.width / 10:g} x {product.height / 10:g} cm"
        bleed = f"{product.bleed:g} mm, {product.edge}"
        rows.append((name, cm, bleed, f"{product.dpi} dpi", product.format, product.profile,
                     product.title))  # fmt: skip
    columns = ("name", "size", "bleed", "resolution", "format", "profile", "what")
    print_table("Products", columns, rows)
    console().print("\nA TOML file of your own works too: --product FILE; so does --size 60x40cm")


@guarded()
def proof(
    folders: Annotated[list[str], typer.Argument(metavar="FOLDER...", show_default=False)],
    *,
    size: Size = None,
    product: Product = None,
    word: Annotated[str, typer.Option(help="A word across the picture, such as PROOF.")] = "",
    out: Annotated[
        str | None,
        typer.Option(metavar="FILE", help="The sheet.", show_default="FOLDER/proof.pdf"),
    ] = None,
) -> None:
    """Write proof.jpg beside each mosaic, and a sheet of them all: from afar, near, one tile."""
    from ..studio.press.finished import open_finished
    from ..studio.press.printing import layout_of
    from ..studio.press.proof import usual_print, write_proof, write_sheet

    if len(folders) > 1 and out is None:
        raise InputError("Several mosaics go onto one sheet; say where with --out proofs.pdf.")
    mosaics = [open_finished(Path(folder)) for folder in folders]
    named = _chosen(size, product) if size or product else None
    products = [
        layout_of(m, named, turn=size is None).product if named else usual_print(m)
        for m in mosaics
    ]  # fmt: skip
    written = [write_proof(m, m.folder / "proof.jpg", word) for m in mosaics]
    sheet = Path(out) if out else mosaics[0].folder / "proof.pdf"
    written.append(write_sheet(list(zip(mosaics, products, strict=True)), sheet))
    for path in written:
        console().print(str(path), soft_wrap=True, markup=False)


@guarded()
def verify(
    file: Annotated[str, typer.Argument(metavar="FILE", help="A picture, PDF or film.")],
) -> None:
    """Tell what a file says of its making, and whether its signature holds.

    Exit code 1 when it says nothing, or when the signature is broken.
    """
    from ..studio.press.provenance import verify as look

    facts, sound = look(Path(file))
    print_facts(file, facts)
    if not sound:
        raise typer.Exit(1)
