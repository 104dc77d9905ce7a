"""Multicolour icons whose names are nouns; most icons of a set are signs and are left out."""

import re
from collections.abc import Callable
from functools import partial
from typing import Any

from .downloads import Packages
from .emoji import draw_icon, read_icon_set
from .emoji_names import EmojiNames, slug
from .facts import read_facts
from .records import Corpus, Origin

NOUN_GROUPS = {"animals-nature", "food-drink", "travel-places", "activities", "objects"}
"""Groups of emoji whose names count as nouns."""


def collect(packages: Packages, corpus: Corpus) -> None:
    """Add the icons of all sets."""
    names = EmojiNames(packages)
    nouns = read_nouns(names)
    for set_name, credit in read_facts("icons")["sets"].items():
        icons = read_icon_set(packages, set_name, credit["license"])
        origin = Origin(f"npm:@iconify-json/{set_name}", kind="icon", group="icon", **credit)
        wanted = is_weather if set_name == "meteocons" else partial(is_noun, nouns=nouns)
        _collect_set(icons, origin, names, wanted, corpus)


def read_nouns(names: EmojiNames) -> set[str]:
    """Slugs of all emoji names that are things, and of the extra nouns, without interface words."""
    facts, unwanted = read_facts("icons"), "|".join(read_facts("emoji")["unwanted"])
    nouns = set()
    for emoji in names.by_slug.values():
        is_thing = emoji.group in NOUN_GROUPS and not emoji.skin
        if not is_thing or emoji.subgroup in ("time", "arrow", "sky-weather"):
            continue
        if not re.search(unwanted, emoji.label, re.IGNORECASE):
            nouns.update(slug(name) for name in (emoji.label, *emoji.names))
    return nouns - set(facts["not_nouns"]) | set(facts["nouns"])


def noun_of(name: str) -> str:
    """An icon's name without its variant: "coffee-cup-2-flat" -> "coffee-cup"."""
    for _ in range(2):
        name = re.sub(r"-(flat|duo|fill|\d+)$", "", name)
    return name


def is_noun(name: str, nouns: set[str]) -> bool:
    """Whether an icon is a picture of a thing, by its name.

    The name must be a noun, or end in one of the extra nouns ("hot-coffee-cup"), without a word
    that marks a sign.
    """
    facts = read_facts("icons")
    noun = noun_of(name)
    words = noun.split("-")
    ends = {"-".join(words[1:]), words[-1]} if len(words) <= 3 else set()
    if noun not in nouns and not ends & set(facts["nouns"]):
        return False
    return not _is_sign(noun)


def is_weather(name: str) -> bool:
    """Whether an icon of meteocons shows weather rather than an instrument, in colour."""
    other = "|".join(read_facts("icons")["not_weather"])
    return name.endswith("-fill") and not re.search(other, name) and not _is_sign(noun_of(name))


def _is_sign(noun: str) -> bool:
    return bool(set(read_facts("icons")["sign_words"]) & set(noun.split("-")))


def _collect_set(
    icons: dict[str, Any],
    origin: Origin,
    names: EmojiNames,
    wanted: Callable[[str], bool],
    corpus: Corpus,
) -> None:
    for name in filter(wanted, icons["icons"]):
        noun = noun_of(name)
        emoji = names.by_slug.get(noun)
        captions = [noun.replace("-", " "), *(emoji.names[:2] if emoji else ())]
        try:
            corpus.add(draw_icon(icons, name), captions, noun.split("-"), origin)
        except ValueError:
            corpus.skip(origin.source, "cannot be drawn")
