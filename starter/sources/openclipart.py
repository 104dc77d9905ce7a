"""The public-domain drawings of the Open Clip Art Library."""

import re
from dataclasses import replace
from pathlib import Path, PurePosixPath

from .downloads import Packages
from .openclipart_titles import (
    folder_noun,
    has_unwanted_words,
    is_wanted_folder,
    make_alternatives,
    make_caption,
    read_metadata,
)
from .raster import fit, render_svg
from .records import Corpus, Origin

ORIGIN = Origin(
    source="deb:openclipart-svg",
    license="LicenseRef-PublicDomain",
    author="Open Clip Art Library",
    style="clipart",
    kind="clipart",
)

RENDER_WIDTH = 320
"""Pixels; drawings are trimmed after rendering, so they are drawn larger than they are kept."""


def collect(packages: Packages, corpus: Corpus) -> None:
    """Add the drawings of things that carry a public-domain mark."""
    root = packages.folder(ORIGIN.source) / "usr/share/openclipart/svg"
    for path in sorted(root.rglob("*.svg")):
        relative = path.relative_to(root).as_posix()
        if is_wanted_folder(PurePosixPath(relative).parent.as_posix()):
            add_drawing(path, relative, corpus)


def add_drawing(path: Path, relative: str, corpus: Corpus) -> None:
    """Add one drawing; `relative` is its path below the library's root, which names its subject."""
    svg = path.read_text(encoding="utf-8", errors="ignore")
    data = read_metadata(svg)
    if not data.public_domain:
        return corpus.skip(ORIGIN.source, "no public-domain mark")
    if has_unwanted_words(relative, data):
        return corpus.skip(ORIGIN.source, "no picture of a thing")
    caption = make_caption(relative, data)
    if not caption:
        return corpus.skip(ORIGIN.source, "no title")
    try:
        image = fit(render_svg(_without_doctype(svg), RENDER_WIDTH))
    except ValueError:
        return corpus.skip(ORIGIN.source, "cannot be drawn")
    names = [caption, *make_alternatives(caption, relative, data)]
    group = f"openclipart/{PurePosixPath(relative).parent}"
    corpus.add(image, names, [*data.keywords, folder_noun(relative)], replace(ORIGIN, group=group))


def _without_doctype(svg: str) -> str:
    """Drop the DOCTYPE, which resvg refuses, unless it declares entities that the drawing uses."""
    if "<!ENTITY" in svg:
        return svg
    return re.sub(r"<!DOCTYPE.*?(\[.*?\])?\s*>", "", svg, flags=re.DOTALL)
