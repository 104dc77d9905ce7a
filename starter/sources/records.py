"""Pictures with captions, as the source families hand them in, and the table that is written."""

import io
import os
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from PIL import Image

from .licenses import check_license
from .raster import SIZE

MIN_COVERAGE = 0.012
"""Share of opaque pixels below which a picture is nothing but a speck."""


@dataclass(frozen=True)
class Origin:
    """What all pictures of a series share: where they come from and what kind they are."""

    source: str
    """REGISTRY:PACKAGE, such as "npm:@iconify-json/noto"."""
    license: str
    """SPDX identifier from the allow-list."""
    author: str
    style: str
    """How it is drawn, in words that can stand in a caption ("flat emoji", "photo")."""
    kind: str
    """"emoji", "icon", "clipart", "avatar", "character", "scene" or "photo"."""
    group: str = ""
    """Subject group, for balanced sampling ("food-drink/dishware", "scene")."""


@dataclass
class Picture:
    """One picture: RGBA uint8 [128, 128, 4], straight alpha, and its words."""

    image: np.ndarray
    caption: str
    alt: list[str]
    tags: list[str]
    origin: Origin
    coverage: float
    monochrome: bool

    def merge_names(self, other: "Picture") -> None:
        """Take over the names of a picture that looks the same."""
        for name in (other.caption, *other.alt):
            if name != self.caption and name not in self.alt:
                self.alt.append(name)


@dataclass
class Corpus:
    """Collects pictures; every family of sources calls `add`."""

    pictures: list[Picture] = field(default_factory=list)
    skipped: Counter = field(default_factory=Counter)
    """(source, reason) -> how many pictures were left out."""

    def skip(self, source: str, reason: str) -> None:
        """Count a picture that is left out."""
        self.skipped[source, reason] += 1

    def add(
        self, image: Image.Image | None, names: Sequence[str], tags: Iterable[str], origin: Origin
    ) -> None:
        """Add a 128 x 128 RGBA picture; names[0] is the caption, the others are alternatives.

        Empty and nearly empty pictures are counted as skipped.

        Raises:
            LicenseError: the origin's licence is not allowed.
            ValueError: the picture has another size.
        """
        check_license(origin.license, origin.source)
        if image is None:
            return self.skip(origin.source, "empty")
        pixels = np.array(image)
        if pixels.shape != (SIZE, SIZE, 4):
            raise ValueError(f"{origin.source}, {names[0]}: picture of shape {pixels.shape}")
        pixels[pixels[..., 3] == 0] = 0
        coverage = float((pixels[..., 3] > 200).mean())
        if coverage < MIN_COVERAGE:
            return self.skip(origin.source, "nearly empty")
        names = list(dict.fromkeys(name for name in names if name))
        tags = [tag for tag in dict.fromkeys(tags) if tag and tag not in names]
        self.pictures.append(
            Picture(
                image=pixels,
                caption=names[0],
                alt=names[1:],
                tags=tags,
                origin=origin,
                coverage=round(coverage, 3),
                monochrome=_is_monochrome(pixels),
            )
        )


def _is_monochrome(pixels: np.ndarray) -> bool:
    """Whether the visible pixels [H, W, 4] are nearly grey on average."""
    visible = pixels[pixels[..., 3] > 128][:, :3].astype(np.int32)
    return len(visible) == 0 or float(np.ptp(visible, axis=1).mean()) < 6


def encode_webp(pixels: np.ndarray) -> bytes:
    """A picture [H, W, 4] as lossy WebP, about 2.5 kB, with the shipped corpus' settings."""
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "WEBP", quality=78, alpha_quality=80)
    return buffer.getvalue()


def write_table(pictures: Iterable[Picture], path: Path) -> None:
    """Write the corpus as parquet, sorted by source and caption.

    `image` holds encoded bytes; `datasets` reads the column as pictures after
    `cast_column("image", datasets.Image(mode="RGBA"))`. `alt` and `tags` are joined by "|".
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    rows = [_row(p) for p in sorted(pictures, key=lambda p: (p.origin.source, p.caption))]
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(path.name + ".part")
    table = pa.Table.from_pylist(rows, schema=_schema())
    pq.write_table(table, temporary, compression="zstd", row_group_size=2048)
    os.replace(temporary, path)


def _row(picture: Picture) -> dict:
    origin = picture.origin
    check_license(origin.license, origin.source)
    return {
        "image": encode_webp(picture.image),
        "caption": picture.caption,
        "alt": "|".join(picture.alt),
        "tags": "|".join(picture.tags),
        "style": origin.style,
        "source": origin.source,
        "license": origin.license,
        "author": origin.author,
        "kind": origin.kind,
        "group": origin.group,
        "coverage": picture.coverage,
        "monochrome": picture.monochrome,
    }


def _schema():
    """Columns of the table, in order."""
    import pyarrow as pa

    words = ("caption", "alt", "tags", "style", "source", "license", "author", "kind", "group")
    return pa.schema(
        [
            ("image", pa.binary()),
            *((name, pa.string()) for name in words),
            ("coverage", pa.float32()),
            ("monochrome", pa.bool_()),
        ]
    )
