"""`mosaic print`: the files that a lab gets for one product."""

from pathlib import Path

from ...configs.errors import InputError
from ...configs.product import ProductSettings, with_changes
from ...configs.progress import Report, reporting
from ..extra import require
from .files import SUFFIXES, make_order, write_page
from .finished import Finished
from .geometry import panels, product_page
from .locator import write_locator, write_places
from .provenance import Signer
from .sizes import Layout, turned

FORMAT_OF = {".tif": "tiff", ".tiff": "tiff", ".jpg": "jpeg", ".jpeg": "jpeg", ".png": "png",
             ".pdf": "pdf"}  # fmt: skip


def layout_of(mosaic: Finished, product: ProductSettings, turn: bool = True) -> Layout:
    """How a mosaic lies on a product, which is turned as the mosaic is."""
    grid = mosaic.grid
    if turn:
        product = turned(product, grid.rows, grid.cols)
    return Layout(grid.rows, grid.cols, grid.tile, product)


def targets(
    mosaic: Finished, product: ProductSettings, out: Path | None, names: list[str]
) -> list[Path]:
    """Where pages go: into FOLDER/print, into the folder `out`, or to the file `out`."""
    suffix = SUFFIXES[product.format]
    if out is not None and out.suffix.lower() in FORMAT_OF:
        if len(names) > 1:
            raise InputError(f"{len(names)} panels do not go into one file; give --out a folder.")
        return [out]
    folder = out or mosaic.folder / "print"
    return [folder / f"{product.name}{'-' * bool(name)}{name}{suffix}" for name in names]


def product_for(product: ProductSettings, out: Path | None) -> ProductSettings:
    """The product in the format that the target's name asks for."""
    if out is None or out.suffix.lower() not in FORMAT_OF:
        return product
    return with_changes(product, format=FORMAT_OF[out.suffix.lower()])


def print_mosaic(
    mosaic: Finished,
    product: ProductSettings,
    out: Path | None = None,
    *,
    signer: Signer | None = None,
    progress: Report | None = None,
) -> list[Path]:
    """Write the files of a product, which lies on the mosaic as it is given here.

    Returns their paths. Raises InputError for a profile that is none, a format that does not hold
    the page, or a target that cannot be written; nothing half-written is ever left.
    """
    for module in ("pyvips", "img2pdf", "pikepdf"):
        require(module, "A print file")
    order = make_order(product, signer)
    pages = panels(product_page(product, mosaic.grid), product)
    paths = targets(mosaic, product, out, [page.name for page in pages])
    with reporting(progress, "print") as report:
        for number, (page, path) in enumerate(zip(pages, paths, strict=True), 1):
            note = path.name if len(pages) == 1 else f"{path.name}, {number} of {len(pages)}"
            write_page(mosaic, page, order, path, _noted(report, note))
    if len(pages) > 1:
        name = f"{product.name}-locator.pdf"
        paths.append(write_locator(mosaic, product, pages, paths[0].with_name(name)))
        if any("photo" in facts for facts in mosaic.tiles.values()):
            paths.append(write_places(mosaic, pages, paths[-1].with_suffix(".csv")))
    return paths


def _noted(report: Report, note: str) -> Report:
    return lambda done, total, _: report(done, total, note)
