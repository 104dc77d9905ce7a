"""Subjects of `subjects.toml`, and which pictures of the corpus show them."""

import re
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np

from ..configs.errors import InputError
from .corpus import Corpus

CLOSE_UP_SHARE = 0.06  # of pictures are close-ups, where a subject's table does not say


@dataclass(frozen=True)
class Subject:
    """Something people ask for: its words, and the pictures that show it."""

    words: tuple[str, ...]
    weight: float
    pictures: np.ndarray
    close_up_share: float
    """Share of its pictures that are close-ups."""
    styles: tuple[str, ...] = ()
    """The styles of its pictures, if every caption is to name a style or a colour."""
    colors: tuple[str, ...] = ()
    """Named colours that such a sample may be painted in."""


@cache
def subjects_toml() -> dict:
    """The tables of `subjects.toml`."""
    return tomllib.loads((Path(__file__).parent / "subjects.toml").read_text(encoding="utf-8"))


def find_subjects(
    corpus: Corpus, tables: Sequence[str], plainest_only: bool = False
) -> list[Subject]:
    """The subjects in these tables of `subjects.toml` that the corpus shows.

    With `plainest_only`, each keeps only its table's `picture_limit` of pictures, the plainest of
    every style, and where the table `preferred` names some, of those only. A table that names
    styles keeps only those.

    Raises:
        InputError: there is no such table.
    """
    misleading = set(subjects_toml()["misleading"]["captions"])
    endings = [
        set() if corpus.texts["caption"][i] in misleading else _endings(corpus.names(i))
        for i in range(len(corpus))
    ]
    found = []
    for table in map(_table, tables):
        for nouns in table["subjects"]:
            shown = [i for i, ends in enumerate(endings) if not ends.isdisjoint(nouns)]
            if kept := _kept(corpus, shown, nouns, table, plainest_only):
                found.append(_subject(table, nouns, kept))
    return found


def _subject(table: dict, nouns: list[str], pictures: list[int]) -> Subject:
    return Subject(
        words=tuple(nouns),
        weight=table["weight"],
        pictures=np.array(pictures),
        close_up_share=table.get("close_up_share", CLOSE_UP_SHARE),
        styles=tuple(table.get("styles", ())),
        colors=tuple(table.get("colors", ())),
    )


def _kept(
    corpus: Corpus, pictures: list[int], nouns: list[str], table: dict, plainest_only: bool
) -> list[int]:
    """Those of a subject's pictures that its table wants; see `find_subjects`."""
    if plainest_only:
        preferred = _preferred(corpus, pictures, nouns[0])
        pictures = _plainest(corpus, preferred, nouns)[: table["picture_limit"]]
    if styles := table.get("styles"):
        pictures = [i for i in pictures if corpus.texts["style"][i] in styles]
    return pictures


def _table(name: str) -> dict:
    """A table of subjects, by its name."""
    tables = {key: table for key, table in subjects_toml().items() if "subjects" in table}
    if name not in tables:
        raise InputError(f'No table of subjects is called "{name}", only {", ".join(tables)}.')
    return tables[name]


def distinctive_words(table: str) -> list[str]:
    """What only the captions of a table's samples say; InputError where there is no such table.

    All words of its subjects, or, where it has styles and colours, those and "blue cat".
    """
    words = [word for subject in _table(table)["subjects"] for word in subject]
    styles, colors = (_table(table).get(kind, []) for kind in ("styles", "colors"))
    return [*styles, *(f"{color} {word}" for color in colors for word in words)] or words


def _preferred(corpus: Corpus, pictures: list[int], noun: str) -> list[int]:
    """The pictures that `preferred` gives for this noun, by a name or digest; all without any."""
    wanted = set(subjects_toml()["preferred"].get(noun, ()))
    if not wanted:
        return pictures
    digests = corpus.texts["digest"]
    found = [i for i in pictures if not wanted.isdisjoint((digests[i], *corpus.names(i)))]
    return found or pictures  # a corpus built elsewhere may hold other files of the same pictures


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
