"""The finished mosaic: all tiles in one picture, and what mosaic.json says about it."""

from collections.abc import Iterable
from pathlib import Path
from statistics import fmean

import numpy as np
from PIL import Image

from ..configs.settings import Settings, as_tables
from ..models.metrics import psnr, pyramid_errors, ssim
from ..models.pixels import to_image, write_png
from .large import MOSAIC_TIFF, is_large, small_canvas, write_tiff
from .locator import write_locator
from .metadata import parameters_text, versions, xmp_packet
from .repeats import near_repeats
from .store import FINISHED, MOSAIC, Store

METRIC_SIDE = 1024  # px; metrics are taken at 64 px


def finish(store: Store, settings: Settings, prompts: Iterable[str]) -> None:
    """Compose the mosaic, write it with its metadata and complete mosaic.json with the metrics."""
    large = is_large(store.grid)
    canvas = small_canvas(store) if large else store.canvas()
    mosaic, size = settings.mosaic, store.grid.canvas_size
    packet = xmp_packet(mosaic)
    text = parameters_text(settings, " | ".join(prompts), mosaic.picture.seed, size)
    if large:
        write_tiff(store, store.folder / MOSAIC_TIFF, text, packet)
    write_png(store.folder / MOSAIC, canvas, {"parameters": text}, packet, printable=not large)
    image, reference = to_image(reduced(canvas)), store.reference()
    assert reference is not None, "the reference is written before the first tile"
    tiles = store.facts(store.grid.tiles)
    energies = [facts.get("correction_energy", 0.0) for facts in tiles.values()]
    store.update(
        state=FINISHED,
        settings=as_tables(settings),
        versions=versions(),
        tiles=tiles,
        metrics={
            "psnr_64": round(psnr(image, reference), 3),
            "ssim_64": round(ssim(image, reference), 4),
            "pyramid": [round(error, 5) for error in pyramid_errors(image, reference)],
            # Mean square change of values after drawing: 0 without tint and classical methods.
            "correction_energy": round(fmean(energies), 6),
            "near_repeats": near_repeats(canvas, store.grid),
        },
    )
    write_locator(store.folder, tiles)


def mosaic_file(store: Store) -> Path:
    """The whole mosaic: mosaic.png, or mosaic.tif where that is only a small picture of it."""
    return store.folder / (MOSAIC_TIFF if is_large(store.grid) else MOSAIC)


def reduced(canvas: np.ndarray) -> np.ndarray:
    """A canvas that is cheap to measure: box-averaged to no less than METRIC_SIDE px a side."""
    factor = max(1, min(canvas.shape[:2]) // METRIC_SIDE)
    return np.asarray(Image.fromarray(canvas).reduce(factor)) if factor > 1 else canvas
