"""Pictures and metadata that users keep: mosaic.png, and what mosaic.json says about it."""

from collections.abc import Iterable
from dataclasses import asdict
from importlib.metadata import PackageNotFoundError, version
from statistics import fmean
from typing import Any

import numpy as np
from PIL import Image

from ..configs.files import file_hash
from ..configs.settings import MosaicSettings, Settings
from ..models.edlora import Adapter
from ..models.pixels import to_image
from .evaluate.metrics import psnr, pyramid_errors, ssim
from .files import write_png
from .tiles import FINISHED, MOSAIC, TileStore

PACKAGES = ("smalti", "torch", "diffusers", "transformers", "peft", "pillow")
SAMPLERS = {"ddim": "DDIM", "dpm++": "DPM++ 2M", "unipc": "UniPC", "lcm": "LCM"}  # the UIs' names
METRIC_SIDE = 1024  # px; metrics are taken at 64 px
SOURCE_TYPES = "http://cv.iptc.org/newscodes/digitalsourcetype"
XMP = """<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>
<x:xmpmeta xmlns:x="adobe:ns:meta/">
 <rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">
  <rdf:Description rdf:about=""
    xmlns:Iptc4xmpExt="http://iptc.org/std/Iptc4xmpExt/2008-02-29/"
    xmlns:xmp="http://ns.adobe.com/xap/1.0/"
    Iptc4xmpExt:DigitalSourceType="{source_type}"
    xmp:CreatorTool="{tool}"/>
 </rdf:RDF>
</x:xmpmeta>
<?xpacket end="w"?>"""


def versions() -> dict[str, str]:
    """Versions of the packages that a picture depends on."""
    found = {}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:  # run from a checkout that is not installed
            found[name] = "unknown"
    return found


def xmp_packet(mosaic: MosaicSettings) -> str:
    """XMP that marks the picture as made by a trained algorithm (IPTC DigitalSourceType).

    A photo as the reference makes it a composite with such media; tiles of a user's own pictures
    make it a composite of whatever they are.
    """
    kind = "compositeWithTrainedAlgorithmicMedia" if mosaic.ref else "trainedAlgorithmicMedia"
    if mosaic.pool:
        kind = "composite"
    tool = f"smalti {versions()['smalti']}"
    return XMP.format(source_type=f"{SOURCE_TYPES}/{kind}", tool=tool)


def parameters_text(settings: Settings, prompt: str, seed: int, size: tuple[int, int]) -> str:
    """The `parameters` text chunk that the usual UIs write and read; size is (height, width)."""
    mosaic = settings.mosaic
    drawn = {
        "Steps": mosaic.steps,
        "Sampler": SAMPLERS[mosaic.scheduler],
        "CFG scale": mosaic.cfg_scale,
        "Seed": seed,
    }
    facts = {
        **({} if mosaic.pool else drawn),
        "Size": f"{size[1]}x{size[0]}",
        **({} if mosaic.pool else {"Model": settings.base.name}),
        **({} if mosaic.method == "smalti" else {"Mosaic method": mosaic.method}),
        "Version": f"smalti {versions()['smalti']}",
    }
    lines = [prompt]
    if mosaic.negative_prompt:
        lines.append(f"Negative prompt: {mosaic.negative_prompt}")
    return "\n".join([*lines, ", ".join(f"{key}: {value}" for key, value in facts.items())])


def adapter_record(name: str, adapter: Adapter) -> dict[str, Any]:
    """What mosaic.json says about an adapter that was used."""
    facts = {key: getattr(adapter, key) for key in ("class_word", "trigger", "rank", "method")}
    path = adapter.path
    return {"name": name, **facts, "file": str(path), "sha256": file_hash(path) if path else ""}


def finish(store: TileStore, settings: Settings, prompts: Iterable[str]) -> None:
    """Compose the mosaic, write it with its metadata and complete mosaic.json with the metrics."""
    canvas = store.canvas()
    mosaic = settings.mosaic
    text = parameters_text(settings, " | ".join(prompts), mosaic.seed, canvas.shape[:2])
    write_png(store.folder / MOSAIC, canvas, {"parameters": text}, xmp_packet(mosaic))
    image, reference = to_image(reduced(canvas)), store.reference()
    assert reference is not None, "the reference is written before the first tile"
    tiles = store.facts(store.grid.tiles)
    energies = [facts.get("correction_energy", 0.0) for facts in tiles.values()]
    store.update(
        state=FINISHED,
        settings=asdict(settings),
        versions=versions(),
        tiles=tiles,
        metrics={
            "psnr_64": round(psnr(image, reference), 3),
            "ssim_64": round(ssim(image, reference), 4),
            "pyramid": [round(error, 5) for error in pyramid_errors(image, reference)],
            # Mean square change of values after drawing: 0 without tint and classical methods.
            "correction_energy": round(fmean(energies), 6),
        },
    )


def reduced(canvas: np.ndarray) -> np.ndarray:
    """A canvas that is cheap to measure: box-averaged to no less than METRIC_SIDE px a side."""
    factor = max(1, min(canvas.shape[:2]) // METRIC_SIDE)
    return np.asarray(Image.fromarray(canvas).reduce(factor)) if factor > 1 else canvas
