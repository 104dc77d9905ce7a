"""Names, keywords and groups of the emoji, from emojibase-data and emojilib."""

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from random import Random
from typing import Any

from .downloads import Packages
from .facts import read_facts

SHORTCODES = ("emojibase", "github", "cldr", "joypixels")
"""Shortcode sets of emojibase that serve as alternative names, in order of preference."""

SKIN_TONES = {1: "light", 2: "medium light", 3: "medium", 4: "medium dark", 5: "dark"}

SKIN_SHARE = 0.22
"""Share of the skin-tone variants that is kept; all of them would be a quarter of the corpus."""

PLAIN_LETTERS = str.maketrans("ñéôãåçí", "neoaaci")


@dataclass(frozen=True)
class Emoji:
    """The words for one emoji."""

    label: str
    """Official English name, lower case."""
    names: tuple[str, ...]
    """Caption and alternatives, plainest first."""
    tags: tuple[str, ...]
    group: str
    """Group of emojibase, such as "food-drink"."""
    subgroup: str
    skin: str = ""
    """Skin tone of a variant, such as "medium dark skin"."""


def slug(text: str) -> str:
    """A name as icon sets write it: "T. Rex’s face" -> "t-rexs-face"."""
    text = text.lower().replace("&", "and").translate(PLAIN_LETTERS)
    text = re.sub(r"[’'“”.]", "", text)
    return re.sub(r"[^a-z0-9]+", "-", text).strip("-")


def letters(text: str) -> str:
    """Only the letters of a name, to compare names that differ in spaces and hyphens."""
    return re.sub(r"[^a-z]", "", text.lower())


class EmojiNames:
    """Finds an emoji by code points, by slug, or by a set's own spelling of a name."""

    def __init__(self, packages: Packages):
        base = packages.folder("npm:emojibase-data")
        library = packages.folder("npm:emojilib") / "dist/emoji-en-US.json"
        self.by_slug: dict[str, Emoji] = {}
        self.by_code: dict[str, Emoji] = {}
        self._by_letters: dict[str, Emoji] = {}
        self._read(base, _read_json(library))
        self._index_letters(_read_json(base / "meta/unicode-names.json"))

    def _read(self, base: Path, keywords: dict[str, list[str]]) -> None:
        groups = _read_json(base / "meta/groups.json")
        shortcodes = [_read_json(base / f"en/shortcodes/{name}.json") for name in SHORTCODES]
        for entry in _read_json(base / "en/data.json"):
            if "group" not in entry:
                continue
            group = groups["groups"].get(str(entry["group"]), "")
            subgroup = groups["subgroups"].get(str(entry.get("subgroup")), "")
            codes = (code for codes in shortcodes for code in _as_list(codes.get(entry["hexcode"])))
            words = keywords.get(entry["emoji"]) or keywords.get(_without_selector(entry["emoji"]))
            emoji = _describe(entry, codes, words or [], group, subgroup)
            self._index(entry, emoji)
            for skin in entry.get("skins", []):
                if not isinstance(skin["tone"], list):
                    self._index(skin, _with_skin(emoji, skin))

    def _index(self, entry: dict[str, Any], emoji: Emoji) -> None:
        code = entry["hexcode"].lower()
        self.by_slug[slug(entry["label"])] = emoji
        self.by_code[code] = self.by_code[code.replace("-fe0f", "")] = emoji

    def _index_letters(self, unicode_names: dict[str, str]) -> None:
        for emoji in self.by_slug.values():
            if not emoji.skin:
                for name in (emoji.label, *emoji.names):
                    self._by_letters.setdefault(letters(name), emoji)
        for code, name in unicode_names.items():
            emoji = self.by_code.get(code.lower())
            if emoji and not emoji.skin:
                self._by_letters.setdefault(letters(name), emoji)

    def find_code(self, code: str) -> Emoji | None:
        """The emoji of hyphenated code points such as "1f431", with or without U+FE0F."""
        code = code.lower()
        return self.by_code.get(code) or self.by_code.get(code.replace("-fe0f", ""))

    def find_name(self, name: str) -> Emoji | None:
        """The emoji that a set calls `name`, forgiving spelling, numbers and suffixes."""
        toned = re.sub(r"-(light|medium-light|medium|medium-dark|dark)$", r"-\1-skin-tone", name)
        plain = re.sub(r"-\d+$", "", name)
        for candidate in (name, toned, plain, f"{plain}-face"):
            if candidate in self.by_slug:
                return self.by_slug[candidate]
        joined = plain.replace("-", "")
        meant = read_facts("emoji")["misspelt"].get(plain, plain).replace(" ", "")
        for candidate in (meant, joined, re.sub(r"(side|face|sign)$", "", joined)):
            if candidate in self._by_letters:
                return self._by_letters[candidate]
        return None


def is_wanted(emoji: Emoji, random: Random) -> bool:
    """Whether an emoji is a picture of something; of skin-tone variants only a random share is.

    Draws from `random` once per candidate variant, so the choice depends on the order of calls.
    """
    facts = read_facts("emoji")
    if not emoji.group or emoji.group in facts["unwanted_groups"]:
        return False
    if re.search("|".join(facts["unwanted"]), emoji.label, re.IGNORECASE):
        return False
    if emoji.subgroup == "time" and "clock face" in emoji.label:
        return False
    if not emoji.skin:
        return True
    if re.search(r"^hand|hands$|body-parts|^family$", emoji.subgroup):
        return False
    return random.random() < SKIN_SHARE


def _describe(
    entry: dict[str, Any], codes: Iterable[str], words: list[str], group: str, subgroup: str
) -> Emoji:
    label = entry["label"].lower()
    plain = read_facts("emoji")["captions"].get(slug(label), [])
    names = [*plain, label, *_shortcode_names(codes)]
    names += [word.replace("_", " ").lower() for word in words[:1]]
    tags = [tag.lower() for tag in entry.get("tags", [])]
    tags += [w.replace("_", " ").lower() for w in words[1:] if re.match(r"^[a-z _-]{3,}$", w)]
    return Emoji(label, tuple(names), tuple(tags), group, subgroup)


def _shortcode_names(codes: Iterable[str]) -> list[str]:
    names = [re.sub(r"[_-]", " ", code).lower() for code in codes]
    return [n for n in names if len(n) > 2 and not re.search(r"\d|tone| selector", n)]


def _with_skin(emoji: Emoji, entry: dict[str, Any]) -> Emoji:
    skin = f"{SKIN_TONES[entry['tone']]} skin"
    label = entry["label"].lower()
    names = [f"{name} with {skin}" for name in (emoji.names[0], *emoji.names[:3])]
    return replace(emoji, label=label, names=(*names, label.replace(":", "")), skin=skin)


def _without_selector(emoji: str) -> str:
    """Some sources write an emoji without U+FE0F, which asks for the coloured picture."""
    return emoji.replace("\ufe0f", "")


def _as_list(value: str | list[str] | None) -> list[str]:
    return [value] if isinstance(value, str) else value or []


def _read_json(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))
