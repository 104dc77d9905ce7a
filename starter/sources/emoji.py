"""Emoji: eight sets of drawings and one of 3-D renders."""

import json
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any

from PIL import Image

from .downloads import Packages
from .emoji_names import Emoji, EmojiNames, is_wanted
from .facts import read_facts
from .licenses import LicenseError
from .raster import SIZE, fit, render_svg, resize
from .records import Corpus, Origin

RENDERS = Origin(
    source="npm:@lobehub/fluent-emoji-3d",
    license="MIT",
    author="Microsoft Fluent Emoji (3D)",
    style="3d render",
    kind="emoji",
)


def collect(packages: Packages, corpus: Corpus) -> None:
    """Add the emoji of all sets."""
    names = EmojiNames(packages)
    random = Random(7)
    for set_name, credit in read_facts("emoji")["sets"].items():
        icons = read_icon_set(packages, set_name, credit["license"])
        origin = Origin(source=f"npm:@iconify-json/{set_name}", kind="emoji", **credit)
        _collect_set(icons, origin, names, random, corpus)
    _collect_renders(packages.folder(RENDERS.source), names, random, corpus)


def read_icon_set(packages: Packages, name: str, license: str) -> dict[str, Any]:
    """A set of @iconify/json.

    Raises:
        LicenseError: the set states another licence than the one we give.
    """
    path = packages.folder("npm:@iconify/json") / f"json/{name}.json"
    icons = json.loads(path.read_text(encoding="utf-8"))
    stated = icons["info"]["license"]["spdx"]
    if stated != license:
        raise LicenseError(f"Icon set {name} is under {stated}, but listed as {license}.")
    return icons


def draw_icon(icons: dict[str, Any], name: str) -> Image.Image | None:
    """Draw an icon of a set at corpus size; wide and tall ones are centred.

    Raises:
        ValueError: the icon cannot be drawn.
    """
    icon = icons["icons"][name]
    width, height = (icon.get(side, icons.get(side, 16)) for side in ("width", "height"))
    box = f"{icon.get('left', 0)} {icon.get('top', 0)} {width} {height}"
    image = render_svg(
        '<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" '
        f'viewBox="{box}" width="{width}" height="{height}">{icon["body"]}</svg>'
    )
    return image if image.size == (SIZE, SIZE) else fit(image, margin=2, trimmed=False)


def _collect_set(
    icons: dict[str, Any], origin: Origin, names: EmojiNames, random: Random, corpus: Corpus
) -> None:
    codes = {name: code for code, name in icons.get("chars", {}).items()}
    categories = icons.get("categories", {})
    signs = {*categories.get("Flags", []), *categories.get("Symbols", [])}
    for name in icons["icons"]:
        if name in signs:
            continue
        emoji = names.by_code.get(codes.get(name, "").lower()) or names.find_name(name)
        if emoji is None or not is_wanted(emoji, random):
            corpus.skip(origin.source, "no picture of a thing")
            continue
        try:
            image = draw_icon(icons, name)
        except ValueError:
            corpus.skip(origin.source, "cannot be drawn")
            continue
        _add(image, emoji, origin, corpus)


def _collect_renders(folder: Path, names: EmojiNames, random: Random, corpus: Corpus) -> None:
    for path in sorted(folder.glob("assets/*.webp")):
        emoji = names.find_code(path.stem)
        if emoji is None or not is_wanted(emoji, random):
            corpus.skip(RENDERS.source, "no picture of a thing")
            continue
        image = resize(Image.open(path).convert("RGBA"), (SIZE, SIZE))
        _add(image, emoji, RENDERS, corpus)


def _add(image: Image.Image | None, emoji: Emoji, origin: Origin, corpus: Corpus) -> None:
    group = f"{emoji.group}/{emoji.subgroup}"
    corpus.add(image, emoji.names, emoji.tags, replace(origin, group=group))
