"""What a picture says of itself: versions, generation parameters, and that a model drew it."""

from functools import cache
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any

from ..configs.files import file_hash
from ..configs.methods import SmaltiSettings
from ..configs.settings import MosaicSettings, Settings

if TYPE_CHECKING:
    from ..models.edlora import Adapter

PACKAGES = ("smalti", "torch", "diffusers", "transformers", "peft", "pillow")
SAMPLERS = {"ddim": "DDIM", "dpm++": "DPM++ 2M", "unipc": "UniPC", "lcm": "LCM"}  # the UIs' names
DEFAULT_METHOD = SmaltiSettings.name  # goes without saying
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


@cache
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

    A photo as the reference or among the tiles makes it a composite with such media; tiles that are
    all a user's own pictures make it a composite of whatever they are.
    """
    kind = "trainedAlgorithmicMedia"
    if mosaic.picture.ref or mosaic.photos.wanted:
        kind = "compositeWithTrainedAlgorithmicMedia"
    if mosaic.own_pictures:
        kind = "composite"
    tool = f"smalti {versions()['smalti']}"
    return XMP.format(source_type=f"{SOURCE_TYPES}/{kind}", tool=tool)


def parameters_text(
    settings: Settings, prompt: str, seed: int, size: tuple[int, int], *, is_photo: bool = False
) -> str:
    """The `parameters` text chunk that the usual UIs write and read; size is (height, width).

    is_photo: whether it is a picture of the user's that nothing was drawn into.
    """
    mosaic, method = settings.mosaic, settings.mosaic.method.name
    own = mosaic.own_pictures or is_photo
    drawn = {
        "Steps": mosaic.sampler.steps,
        "Sampler": SAMPLERS[mosaic.sampler.scheduler],
        "CFG scale": mosaic.sampler.scale_of(concept=bool(mosaic.picture.tile_lora)),
        "Seed": seed,
    }
    facts = {
        **({} if own else drawn),
        "Size": f"{size[1]}x{size[0]}",
        **({} if own else {"Model": settings.base.name}),
        **({} if method == DEFAULT_METHOD else {"Mosaic method": method}),
        "Version": f"smalti {versions()['smalti']}",
    }
    lines = [prompt]
    if mosaic.picture.negative_prompt and not is_photo:
        lines.append(f"Negative prompt: {mosaic.picture.negative_prompt}")
    return "\n".join([*lines, ", ".join(f"{key}: {value}" for key, value in facts.items())])


def adapter_record(name: str, adapter: "Adapter") -> dict[str, Any]:
    """What mosaic.json says about an adapter that was used."""
    facts = {key: getattr(adapter, key) for key in ("class_word", "trigger", "rank", "method")}
    path = adapter.path
    return {"name": name, **facts, "file": str(path), "sha256": file_hash(path) if path else ""}
