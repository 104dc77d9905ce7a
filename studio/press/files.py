"""Print files: TIFF, JPEG, PNG and PDF with profile, resolution and provenance."""

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...configs.errors import InputError
from ...configs.files import remove, replacing, sweep
from ...configs.product import ProductSettings
from ...configs.progress import Report, silent
from .canvas import strips
from .finished import Finished
from .geometry import Page
from .pdf import MAX_POINTS, points, write_pdf
from .profiles import Profile, find_profile, in_profile
from .provenance import Signer
from .sizes import MM_PER_INCH
from .stream import write_streamed

SUFFIXES = {"tiff": ".tif", "jpeg": ".jpg", "png": ".png", "pdf": ".pdf"}
MAX_JPEG = 65_500  # px a side, what its writers take
BIG_TIFF = 3 * 2**30  # bytes of pixels; a plain TIFF ends at 4 GiB
QUALITY = 95


@dataclass(frozen=True)
class Order:
    """How a page is written."""

    product: ProductSettings
    profile: Profile
    signer: Signer | None = None


def make_order(product: ProductSettings, signer: Signer | None = None) -> Order:
    """Check what can be checked before any pixel is made; raises InputError."""
    profile = find_profile(product.profile)
    if profile.space == "CMYK" and product.format == "png":
        raise InputError(f"A PNG has no CMYK, which {profile.name} is; take --format tiff.")
    if signer and product.format == "pdf":
        raise InputError("A PDF cannot be signed; take --format tiff, jpeg or png with --sign.")
    return Order(product, profile, signer)


def write_page(
    mosaic: Finished, page: Page, order: Order, path: Path, report: Report = silent
) -> Path:
    """Write a page of a mosaic as `order` wants it, whole or not at all.

    Raises InputError when the format does not hold so large a page or nothing can be written there,
    SmaltiError on a full disk.
    """
    _check_size(page, order.product)
    sweep(path.parent)
    if order.product.format != "pdf":
        with replacing(path) as temporary:
            _write_image(mosaic, page, order, (temporary, path), report)
            if order.signer:
                order.signer.sign(temporary, order.product.format, mosaic)
        return path
    with replacing(path) as temporary:
        picture = path.with_name(f".page-{path.name}.{os.getpid()}.tmp")
        try:
            _write_image(mosaic, page, order, (picture, path), report)
            write_pdf(picture, [page], temporary, mosaic.xmp, title=mosaic.name)
        finally:
            remove(picture)
    return path


def _check_size(page: Page, product: ProductSettings) -> None:
    width, height = page.size
    if product.format in ("jpeg", "pdf") and max(page.size) > MAX_JPEG:
        raise InputError(
            f"{width}x{height} px are too large for {product.format}; take --format tiff, --panels "
            "or a lower --dpi."
        )
    if product.format == "pdf" and max(map(points, page.size, (page.dpi,) * 2)) > MAX_POINTS:
        raise InputError("A PDF page ends at 5 m; take --format tiff or panels.")


def _write_image(
    mosaic: Finished, page: Page, order: Order, paths: tuple[Path, Path], report: Report
) -> None:
    """Write a page's pixels; paths: the temporary file, and the one that messages name."""

    def write(image: Any) -> None:
        converted = in_profile(image, order.profile, order.product.intent)
        SAVERS[order.product.format](tagged(converted, page.dpi, mosaic.xmp), paths[0])

    write_streamed(page.size, strips(mosaic, page, report), write, paths[1])


def tagged(image: Any, dpi: float, xmp: bytes) -> Any:
    """An image of libvips' with its resolution and an XMP packet."""
    import pyvips

    per_mm = dpi / MM_PER_INCH
    image = image.copy(xres=per_mm, yres=per_mm)
    image.set_type(pyvips.GValue.gstr_type, "resolution-unit", "in")
    image.set_type(pyvips.GValue.blob_type, "xmp-data", xmp)
    return image


def save_tiff(image: Any, path: Path) -> None:
    """A tiled TIFF, packed without loss; BigTIFF where 4 GiB might not do."""
    image.tiffsave(
        str(path),
        tile=True,
        tile_width=256,
        tile_height=256,
        compression="lzw",
        predictor="horizontal",
        resunit="inch",
        bigtiff=image.width * image.height * image.bands > BIG_TIFF,
    )


def save_jpeg(image: Any, path: Path) -> None:
    """A JPEG of high quality, colours at full resolution."""
    image.jpegsave(str(path), Q=QUALITY, subsample_mode="off")


def save_png(image: Any, path: Path) -> None:
    """A PNG."""
    image.pngsave(str(path), compression=6)


SAVERS: dict[str, Callable[[Any, Path], None]] = {
    "tiff": save_tiff,
    "jpeg": save_jpeg,
    "pdf": save_jpeg,
    "png": save_png,
}
