"""Captions of composed samples: subject words, background words, templates, filler."""

import re
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from random import Random

import numpy as np

from ..configs.errors import InputError
from .corpus import Corpus

PHOTO_STYLES = ("photo", "painting or photo")
FILLER_SHARE = 0.08  # of captions get an adjective in front, and as many a phrase behind
DETAIL_SHARE = 0.3  # of captions go on with something that the picture need not show
STAND_IN_SHARE = 0.4  # of captions of a picture that stands for others say one of those
NEAR_SHARE = 0.06  # of pictures are close-ups, where a subject's table does not say


@dataclass(frozen=True)
class Subject:
    """Something people ask for: its words, and the pictures that show it."""

    words: tuple[str, ...]
    weight: float
    pictures: np.ndarray
    near: float
    """Share of its pictures that are close-ups."""
    styles: tuple[str, ...] = ()
    """The styles of its pictures, if every sample is to tell its style or colour."""
    colors: tuple[str, ...] = ()
    """Named colours that such a sample may be painted in."""


@cache
def facts() -> dict:
    """The tables of `subjects.toml`."""
    return tomllib.loads((Path(__file__).parent / "subjects.toml").read_text(encoding="utf-8"))


def find_subjects(corpus: Corpus, tables: Sequence[str], few: bool = False) -> list[Subject]:
    """The subjects in these tables of `subjects.toml` that the corpus shows.

    With `few`, each keeps only its table's number of pictures, the plainest of every style, and
    where the table `clear` names some, of those only. A table that names styles keeps only those.

    Raises:
        InputError: there is no such table.
    """
    others = set(facts()["others"]["captions"])
    endings = [set() if corpus.texts["caption"][i] in others else _endings(corpus.names(i))
               for i in range(len(corpus))]
    subjects = []
    for table in map(_table, tables):
        for nouns in table["subjects"]:
            found = [i for i, ends in enumerate(endings) if not ends.isdisjoint(nouns)]
            if kept := _kept(corpus, found, nouns, table, few):
                subjects.append(Subject(
                    tuple(nouns), table["weight"], np.array(kept), table.get("near", NEAR_SHARE),
                    tuple(table.get("styles", ())), tuple(table.get("colors", ())),
                ))
    return subjects


def _kept(
    corpus: Corpus, pictures: list[int], nouns: list[str], table: dict, few: bool
) -> list[int]:
    """Those of a subject's pictures that its table wants; see `find_subjects`."""
    if few:
        pictures = _plainest(corpus, _clear(corpus, pictures, nouns[0]), nouns)[: table["few"]]
    if styles := table.get("styles"):
        pictures = [i for i in pictures if corpus.texts["style"][i] in styles]
    return pictures


def _table(name: str) -> dict:
    """A table of subjects, by its name."""
    tables = {key: table for key, table in facts().items() if "subjects" in table}
    if name not in tables:
        raise InputError(f'No table of subjects is called "{name}", only {", ".join(tables)}.')
    return tables[name]


def words_of(table: str) -> list[str]:
    """What a table's samples alone say; InputError where there is no such table.

    All words of its subjects, or, where it has styles and colours, those and "blue cat".
    """
    words = [word for subject in _table(table)["subjects"] for word in subject]
    styles, colors = (_table(table).get(kind, []) for kind in ("styles", "colors"))
    return [*styles, *(f"{color} {word}" for color in colors for word in words)] or words


def _clear(corpus: Corpus, pictures: list[int], noun: str) -> list[int]:
    """The pictures that `clear` gives for this noun, by a name or digest; all without any."""
    wanted = set(facts()["clear"].get(noun, ()))
    if not wanted:
        return pictures
    digests = corpus.texts["digest"]
    clear = [i for i in pictures if not wanted.isdisjoint((digests[i], *corpus.names(i)))]
    return clear or pictures  # a corpus built elsewhere may hold other files of the same pictures


def _plainest(corpus: Corpus, pictures: list[int], words: list[str]) -> list[int]:
    """Pictures in turns of one per style; in each, those captioned by the bare words come first."""

    def plainness(picture: int) -> tuple[bool, bool, int]:
        caption = corpus.texts["caption"][picture]
        return corpus.texts["kind"][picture] == "icon", caption not in words, len(caption)

    turns: dict[str, int] = {}
    ranked = []
    for picture in sorted(pictures, key=plainness):
        style = corpus.texts["style"][picture]
        turns[style] = turns.get(style, 0) + 1
        ranked.append((plainness(picture)[0], turns[style], picture))
    return [picture for *_, picture in sorted(ranked)]


def _endings(names: list[str]) -> set[str]:
    """Everything the captions end in, whole words, cut before what is merely added.

    "big cat with red hat" ends in "cat" and in "big cat": it shows a cat, not a hat.
    """
    heads = [re.split(r" (?:with|in front of) ", name)[0].split() for name in names]
    return {" ".join(head[start:]) for head in heads for start in range(len(head))}


def subject_phrase(corpus: Corpus, index: int, subject: Subject | None, random: Random) -> str:
    """Words for one picture: a subject's plain noun or synonym, or one of its own captions.

    A synonym is used only where the picture's own captions contain it. A picture may also stand for
    what nobody has photographed (the table `stands_for`): any empty room for a coffee shop.
    """
    names = corpus.names(index)
    if (subject is not None and random.random() < STAND_IN_SHARE
            and (others := facts()["stands_for"].get(subject.words[0]))):
        return random.choice(others).replace("NOUN", _some_noun(corpus, random))
    if subject is not None and random.random() < 0.6:
        own = "\n".join(names)
        fitting = [w for w in subject.words if re.search(rf"\b{re.escape(w)}\b", own)]
        plain = subject.words[0]
        return plain if random.random() < 0.6 or not fitting else random.choice(fitting)
    return names[0] if random.random() < 0.5 else random.choice(names)


def with_article(phrase: str) -> str:
    """"a cat", "an owl"; plural and mass phrases stay bare."""
    last = phrase.split(" with ")[0].split()[-1] if phrase else ""
    if not last or (last.endswith("s") and not last.endswith("ss")) or last in ("hair", "coffee"):
        return phrase
    return f"{'an' if phrase[0] in 'aeiou' else 'a'} {phrase}"


def dressed(phrase: str, style: str, random: Random, near: bool) -> str:
    """The phrase inside a template: "a photo of a cat", "close-up of a cat", "clipart of a cat"."""
    if random.random() < FILLER_SHARE:
        phrase = f"{random.choice(facts()['filler']['before'])} {phrase}"
    noun = with_article(phrase)
    if near:
        return f"{random.choice(('a close-up photo of', 'close-up of', 'a close-up of'))} {noun}"
    medium = "photo" if style in PHOTO_STYLES else style
    templates = (
        (0.30, phrase), (0.38, noun), (0.12, f"a photo of {noun}"), (0.05, f"a picture of {noun}"),
        (0.10, f"{with_article(medium)} of {noun}"), (0.05, f"{phrase}, {medium}"),
    )
    return random.choices([t for _, t in templates], [w for w, _ in templates])[0]


def in_style(phrase: str, style: str, random: Random) -> str:
    """"a 3d render of a cat", "cat, 3d render"."""
    noun = with_article(phrase)
    return random.choice((
        f"{with_article(style)} of {noun}", f"{style} of {noun}", f"{phrase}, {style}",
        f"{noun}, {style}", f"{style} {phrase}",
    ))


def detailed(phrase: str, corpus: Corpus, random: Random) -> str:
    """The phrase, now and then with a detail behind it: "a dog sitting on an old sofa".

    The detail is made of any words, whatever the picture shows. A small model can draw no more
    than the subject of a long prompt; so it learns not to lose that over the rest.
    """
    if random.random() >= DETAIL_SHARE:
        return phrase
    filler, nouns = facts()["filler"], (_some_noun(corpus, random), _some_noun(corpus, random))
    first, second = map(with_article, nouns)
    return random.choice((
        f"{phrase} {random.choice(filler['doing'])} {random.choice(filler['where'])} {first}",
        f"{phrase} {random.choice(filler['where'])} {first}", f"{phrase} with {first}",
        f"{phrase} with {nouns[0]} and {nouns[1]}", f"{phrase} {random.choice(filler['doing'])}",
        f"{phrase} {random.choice(filler['where'])} {first} with {second}",
    ))


def _some_noun(corpus: Corpus, random: Random) -> str:
    """A subject's plain noun, every other one with an adjective in front, or any caption.

    Captions have words that no subject has, and users' prompts have words of that kind.
    """
    if random.random() < 0.5:
        return random.choice(corpus.texts["caption"])
    adjective = random.choice(("", f"{random.choice(facts()['filler']['before'])} "))
    table = random.choice(("often", "things", "faces", "people"))
    return adjective + random.choice(facts()[table]["subjects"])[0]


def finished(caption: str, random: Random) -> str:
    """The caption, now and then with a phrase such as ", soft lighting" behind it."""
    if random.random() < FILLER_SHARE:
        caption = f"{caption}, {random.choice(facts()['filler']['after'])}"
    return caption


def on_color(phrase: str, color: str, random: Random) -> str:
    """"a cat on a red background"."""
    noun = with_article(color)
    if random.random() < 0.7:
        return f"{phrase} on {noun} background"
    return random.choice((f"{phrase}, {color} background", f"{phrase} with {noun} background"))


def before_scene(phrase: str, scene: str, random: Random) -> str:
    """"a car in front of a mountain"."""
    place = with_article(scene)
    return random.choice((
        f"{phrase} in front of {place}", f"{phrase} in {place}",
        f"{phrase} with {scene} background", f"{phrase}, {scene} in the background",
        f"{phrase} at {place}", f"{phrase} and {place}",
    ))


def on_pattern(phrase: str, noun: str, random: Random) -> str:
    """"a cat with flower background"."""
    many = noun if noun.endswith("s") else f"{noun}s"
    return random.choice((
        f"{phrase} with {noun} background", f"{phrase} surrounded by {many}",
        f"{phrase} under {many}", f"{phrase} among {many}", f"{phrase} with {many}",
    ))
