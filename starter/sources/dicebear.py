"""Avatars that DiceBear composes from artists' parts: faces whose hair and glasses are known."""

import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

from .color_names import HAIR_COLORS, color_name
from .downloads import Packages, require_tool, run_tool
from .facts import read_facts
from .raster import fit, render_svg
from .records import Corpus, Origin

SCRIPT = Path(__file__).with_name("dicebear.mjs")
RENDER_WIDTH = 256
"""Pixels; avatars are trimmed after rendering, so they are drawn larger than they are kept."""


def collect(packages: Packages, corpus: Corpus) -> None:
    """Add the avatars of all styles."""
    styles = read_styles()
    for avatar in draw_avatars(packages.folder("npm:@dicebear/collection"), styles):
        style = styles[avatar["style"]]
        names, tags = describe(avatar["traits"], style, avatar["index"])
        image = fit(render_svg(avatar["svg"], RENDER_WIDTH), margin=3)
        corpus.add(image, names, tags, _origin(avatar["style"], style))


def read_styles() -> dict[str, dict[str, Any]]:
    """The styles of `dicebear.toml` with the defaults filled in."""
    facts = read_facts("dicebear")
    return {name: facts["defaults"] | style for name, style in facts["styles"].items()}


def draw_avatars(folder: Path, styles: dict[str, dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """Avatars as {style, index, traits, svg}, drawn by node with the modules in `folder`."""
    script = folder / SCRIPT.name
    shutil.copyfile(SCRIPT, script)
    keys = ("count", "options")
    plan = {name: {key: style[key] for key in keys} for name, style in styles.items()}
    lines = run_tool([require_tool("node"), str(script), json.dumps(plan)], folder)
    return map(json.loads, lines.splitlines())


def _origin(name: str, style: dict[str, Any]) -> Origin:
    hyphenated = re.sub("[A-Z]", lambda letter: f"-{letter[0].lower()}", name)
    credit = {key: style[key] for key in ("license", "author", "style")}
    return Origin(f"npm:@dicebear/{hyphenated}", kind="avatar", group="face", **credit)


def describe(
    traits: dict[str, Any], style: dict[str, Any], index: int
) -> tuple[list[str], list[str]]:
    """Captions and tags of an avatar from the parts that it was composed of.

    Where nothing tells the gender, `index` chooses the word, so that a rebuild says the same.
    """
    beard = _beard(traits)
    hair = _hair(traits, style)
    who = _who(beard, _has_long_hair(traits, style), style, index)
    anime = "anime " if style["anime"] else ""
    article = "an" if anime else "a"
    with_hair = f" with {hair}" if hair else ""
    names = [f"{anime}{who} face", f"face of {article} {anime}{who}{with_hair}"]
    names += [f"{who}{with_hair}", f"portrait of a {who}"]
    tags = ["face", "avatar", "portrait", "head", "person"]
    if _has_glasses(traits):
        names.append(f"{who} with glasses")
        tags.append("glasses")
    if beard:
        names.append(f"{who} with {beard}")
    if _smiles(traits):
        names.append(f"smiling {who}")
        tags.append("smile")
    color = hair.removeprefix("long ").removeprefix("short ")
    return names, [*tags, anime.strip(), hair, color, who]


def _who(beard: str, long_hair: bool, style: dict[str, Any], index: int) -> str:
    if beard:
        return "man"
    who = "girl" if long_hair else Random(index).choice(["boy", "person", "boy"])
    return {"girl": "woman", "boy": "man"}.get(who, who) if style["adults"] else who


def _hair_name(traits: dict[str, Any]) -> str:
    return str(traits.get("hair") or traits.get("head") or "")


def _hair(traits: dict[str, Any], style: dict[str, Any]) -> str:
    """Such as "long red hair"; "" where there is none to be seen."""
    if not style["hair_color"] or re.search(style["no_hair"], _hair_name(traits), re.IGNORECASE):
        return ""
    color = color_name(traits.get("hairColor") or traits["headContrastColor"], HAIR_COLORS)
    if not style["hair_length"]:
        return f"{color} hair"
    return f"{'long' if _has_long_hair(traits, style) else 'short'} {color} hair"


def _has_long_hair(traits: dict[str, Any], style: dict[str, Any]) -> bool:
    if traits.get("rearHair"):
        return True
    return bool(re.search(style["long_hair"], _hair_name(traits), re.IGNORECASE))


def _beard(traits: dict[str, Any]) -> str:
    """The word for a beard, "mustache", or "" for neither."""
    if traits.get("features") == "mustache":
        return "mustache"
    return "beard" if any(traits.get(k) for k in ("beard", "facialHair", "mustache")) else ""


def _has_glasses(traits: dict[str, Any]) -> bool:
    worn = traits.get("glasses") or "glass" in str(traits.get("accessories", ""))
    return bool(worn) or traits.get("eyes") in ("glasses", "sunglasses")


def _smiles(traits: dict[str, Any]) -> bool:
    moods = " ".join(str(traits.get(key, "")) for key in ("mouth", "face", "mood"))
    return bool(re.search("smil|happy|laugh|cheek", moods, re.IGNORECASE))
