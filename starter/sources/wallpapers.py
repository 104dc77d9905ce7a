"""Photographic wallpapers with captions given by hand."""

import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from PIL import Image

from ...configs.errors import InputError
from .downloads import Packages
from .facts import read_facts
from .licenses import check_license, find_statement, read_debian_copyright
from .photos import crop_square
from .raster import square
from .records import Corpus, Origin

BUDGIE, LOMIRI = "deb:budgie-backgrounds", "deb:lomiri-wallpapers-16.04"

WORKING_SIZE = 1024
"""Longest side in pixels to which a wallpaper is reduced before it is cropped."""

SUBJECTS = ("bird", "otter", "saturn", "fig", "dogs")
"""Words of captions whose subject is in the middle; the others are scenes, good at any place."""


def collect(packages: Packages, corpus: Corpus) -> None:
    """Add crops of Lomiri's wallpapers, then of Budgie's."""
    facts = read_facts("photos")
    _collect_lomiri(packages.folder(LOMIRI) / "usr/share", facts["lomiri"], corpus)
    _collect_budgie(packages.folder(BUDGIE) / "usr/share", facts["budgie"], corpus)


def _collect_lomiri(share: Path, captions: dict[str, list[str]], corpus: Corpus) -> None:
    path = share / "doc/lomiri-wallpapers-16.04/copyright"
    statements = read_debian_copyright(path.read_text(encoding="utf-8"))
    for name, names in captions.items():
        path = next(share.rglob(f"{name}.jpg"))
        statement = find_statement(f"16.04/{path.name}", statements)
        check_license(statement.license if statement else "", f"{LOMIRI}, {path.name}")
        author = re.sub(r",\s*\d{4}$", "", statement.author)
        origin = Origin(LOMIRI, statement.license, author, "photo", "photo")
        add_wallpaper(path, names, origin, corpus)


def _collect_budgie(share: Path, captions: dict[str, list[str]], corpus: Corpus) -> None:
    try:
        import pillow_jxl  # noqa: F401  (importing it teaches Pillow to read JPEG XL)
    except ImportError as error:
        message = 'pillow-jxl-plugin is missing: pip install "smalti[corpus]".'
        raise InputError(message) from error
    origin = Origin(BUDGIE, "CC0-1.0", "Buddies of Budgie", "photo", "photo")
    for name, names in captions.items():
        add_wallpaper(share / f"backgrounds/budgie/{name}.jxl", names, origin, corpus)


def add_wallpaper(path: Path, names: list[str], origin: Origin, corpus: Corpus) -> None:
    """Add crops of one wallpaper; names[0] tells whether its subject is in the middle."""
    image = Image.open(path).convert("RGB")
    image.thumbnail((WORKING_SIZE, WORKING_SIZE))
    centred = any(word in names[0] for word in SUBJECTS)
    tags = ["photo"] if centred else ["photo", "scene", "background"]
    origin = replace(origin, group="photo" if centred else "scene")
    for picture in _crops(image.convert("RGBA"), centred):
        corpus.add(picture, names, tags, origin)


def _crops(image: Image.Image, centred: bool) -> Iterator[Image.Image]:
    """Squares along the longer side and smaller ones across the middle."""
    for position in (0.25, 0.5, 0.75) if centred else (0, 0.25, 0.5, 0.75, 1):
        yield square(image, position)
    for position in (0.25, 0.5, 0.75):
        yield crop_square(image, 0.8, position, 0.5)
