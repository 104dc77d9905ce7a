"""Captions for Openclipart drawings, from their metadata, file names and folders.

The titles are in several languages, carry serial numbers and artists' names, and were often copied
from another drawing; the rules here were found by reading them.
"""

import html
import re
from dataclasses import dataclass
from functools import cache
from pathlib import PurePosixPath

from .facts import read_facts

MAX_DESCRIPTION = 90
"""Longer descriptions tell stories rather than say what is drawn."""

NO_TITLES = (
    *("unnamed", "untitled", "no title", "image", "picture", "drawing", "clip art", "svg", "new"),
)


@dataclass(frozen=True)
class Metadata:
    """What a drawing says of itself (RDF inside the SVG)."""

    title: str
    description: str
    keywords: tuple[str, ...]
    artists: frozenset[str]
    """Words of the artists' names, lower case."""
    public_domain: bool


def read_metadata(svg: str) -> Metadata:
    """Metadata of an SVG document; read by patterns, because many documents are not valid XML."""
    licenses = re.findall(r'<(?:cc:)?license[^>]*rdf:resource="([^"]*)"', svg)
    artists = re.findall(r"<(?:cc:|)Agent[^>]*>\s*<dc:title[^>]*>([^<]*)", svg)
    words = re.findall(r"<rdf:li[^>]*>([^<]*)", svg)
    keywords = [html.unescape(word).replace("_", " ").strip().lower() for word in words]
    return Metadata(
        title=html.unescape(_first(r"<dc:title[^>]*>([^<]*)", svg)).strip(),
        description=html.unescape(_first(r"<dc:description[^>]*>([^<]*)", svg)).strip(),
        keywords=tuple(word for word in keywords if _is_keyword(word)),
        artists=frozenset(re.findall("[a-z]{3,}", " ".join(artists).lower())),
        public_domain=any("publicdomain" in name.lower().replace(" ", "") for name in licenses),
    )


def _first(pattern: str, text: str) -> str:
    match = re.search(pattern, text)
    return match[1] if match else ""


def _is_keyword(word: str) -> bool:
    noise = ("hash", "unsorted", "clip art", "clipart", "externalsource")
    return bool(word) and word not in noise and not word.startswith("0x")


def clean_title(title: str) -> str:
    """A title without serial numbers, brackets, artists' marks and "clip art of a"."""
    title = re.sub(r"(?i)clip ?art by [^-]*-\s*", "", title)
    title = re.sub(
        r"(?i)^(open ?clip ?art|part of|svg|clipart|image of|picture of|drawing of"
        r"|an? (illustration|image|picture|drawing|clip ?art) of)\b\s*(an? )?",
        "",
        title,
    )
    title = re.sub(r"\.svg$", "", title)
    title = re.sub(r"[_-]", " ", title)
    title = re.sub(r"\s*\(.*?\)", "", title)
    title = re.sub(r"(?i)\b(r|ganson|svg|clip ?art|v\d+|by .*|mateya|remix|01|02|03)\b", "", title)
    title = re.sub(r"\s*\d+\s*$", "", title)
    title = re.sub(r"([a-z])([A-Z])", r"\1 \2", title)
    title = re.sub(r"[^A-Za-z0-9' ,&]+", " ", title)
    return re.sub(r"\s+", " ", title).strip(" ,'").lower()


def clean_file_name(path: str) -> str:
    """A file's name as words, without serial numbers: "house_3b_jo_01.svg" -> "house jo"."""
    words = re.sub(r"_+", " ", PurePosixPath(path).stem)
    words = re.sub(r"\b[a-z]?\d+[a-z]?\b", "", words)
    return re.sub(r"\s+", " ", words).strip().lower()


def translate(title: str) -> str:
    """Put the words of a title into English and drop repeated ones."""
    words = (_dictionary().get(word, word) for word in title.split())
    return " ".join(dict.fromkeys(" ".join(words).split()))


@cache
def _dictionary() -> dict[str, str]:
    facts = read_facts("openclipart")
    entries = facts["dictionary"].items()
    words = {word: english for english, foreign in entries for word in foreign}
    return dict.fromkeys(facts["stop_words"], "") | words


def is_wanted_folder(folder: str) -> bool:
    """Whether the drawings of a folder such as "animals/birds" are pictures of things."""
    facts = read_facts("openclipart")
    good = rf"^({'|'.join(facts['folders'])})(/|$)"
    bad = "|".join(facts["unwanted_folders"])
    return bool(re.search(good, folder)) and not re.search(bad, folder)


def has_unwanted_words(path: str, data: Metadata) -> bool:
    """Whether title, keywords or file name tell of a sign, a frame, a map or the like."""
    file_name = PurePosixPath(path).name.replace("_", " ")
    text = " ".join([clean_title(data.title), " ".join(data.keywords), file_name])
    words = "|".join(read_facts("openclipart")["unwanted_words"])
    return bool(re.search(rf"\b({words})s?\b", text, re.IGNORECASE))


def make_caption(path: str, data: Metadata) -> str:
    """What a drawing shows, English and lower case; "" when nothing tells.

    The title counts, unless it says nothing or shares no word with the file name: then it was
    probably copied from another drawing, and the file name counts.
    """
    title = clean_title(data.title)
    named = _file_words(path, data)
    if len(title) < 3 or _says_nothing(title) or (named and not _share_a_word(title, path)):
        title = " ".join(named[:3]) or _fallback(path, data)
    title = translate(re.sub(r"\s*\d+$", "", title).strip())
    return title if len(title) >= 3 and title not in NO_TITLES else ""


def _says_nothing(title: str) -> bool:
    empty = "|".join(read_facts("openclipart")["empty_titles"])
    return title in NO_TITLES or bool(re.match(rf"({empty}|r1[56] s.*)$", title))


def _share_a_word(title: str, path: str) -> bool:
    """Whether two words begin with the same four letters."""
    starts = {word[:4] for word in re.findall("[a-z]{3,}", title)}
    return any(word[:4] in starts for word in re.findall("[a-z]{3,}", clean_file_name(path)))


def _file_words(path: str, data: Metadata) -> list[str]:
    """Words of the file name that are not parts of an artist's name."""
    noise = read_facts("openclipart")["file_name_noise"]
    words = re.sub(r"\d+", " ", clean_file_name(path)).split()
    return [w for w in words if len(w) > 2 and w not in noise and not _names_artist(w, data)]


def _names_artist(word: str, data: Metadata) -> bool:
    return any(name.startswith(word) or word.startswith(name) for name in data.artists)


def _fallback(path: str, data: Metadata) -> str:
    """The first keyword that says something, else the folder's name."""
    folder = PurePosixPath(path).parent.name.rstrip("s").replace("_", " ")
    return next((word for word in data.keywords if word not in ("person", "animal")), folder)


def folder_noun(path: str) -> str:
    """What the drawings of a folder are, such as "bird"; "" when the folder does not tell."""
    return read_facts("openclipart")["folder_nouns"].get(PurePosixPath(path).parent.name, "")


def make_alternatives(caption: str, path: str, data: Metadata) -> list[str]:
    """Other captions: with the folder's noun, and the description when it is short and plain."""
    names = []
    noun = folder_noun(path)
    if noun and noun not in caption and len(caption.split()) < 3 and not caption.endswith("s"):
        names.append(f"{caption} {noun}")
    story = r"http|collection|part of|created|inkscape|drawn|svg|first|my "
    text = data.description
    if 3 < len(text) < MAX_DESCRIPTION and not re.search(story, text, re.IGNORECASE):
        names.append(re.sub(r"\s+", " ", text).strip(" .").lower())
    return names
